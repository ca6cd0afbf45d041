"""Checks the prompts and context files of a plan in a run request. It does no I/O.

A pipeline file's reader has made the same checks, but anyone may write a run request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from loom_common.domain.checks.calibrator import named_in, parsed
from loom_common.domain.definition.transform import AiTransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.errors import Problem


def plan_mistakes(plan: Plan) -> Iterator[Problem]:
    """Yield the mistakes in the prompt and in calibrators, and the files that are missing from the request."""
    for place, name in named_in(plan.pipeline):
        try:
            parsed(plan.files[name])
        except KeyError:
            yield Problem(place, f"{name!r}", f"a file that is among the request's `files` ({_there(plan)})")
        except ValueError as error:
            yield Problem(place, f"{name!r}", f"a calibrator that can be used ({error})")
    transform = plan.pipeline.transform
    if not isinstance(transform, AiTransformConfig):
        return
    there = _there(plan)
    for position, name in enumerate(transform.context):
        if name not in plan.files:
            yield Problem(
                ("transform", "context", position), f"{name!r}", f"a file that is among the request's `files` ({there})"
            )
    at = ("transform", "prompt")
    if transform.prompt not in plan.files and _names_a_file(transform.prompt):
        yield Problem(at, f"{transform.prompt!r}", f"a prompt, or a file that is among the request's `files` ({there})")
        return
    from loom_common.domain.prompts.prompt_check import check_prompt

    names = [PurePath(name).stem for name in transform.context]
    for each in check_prompt(plan.text_of(transform.prompt), names, list(plan.pipeline.params)):
        yield Problem(at, f"{each.found} (line {each.line})", each.expected, each.suggestion)


def _there(plan: Plan) -> str:
    return ", ".join(plan.files) or "there is none"


def _names_a_file(prompt: str) -> bool:
    """Say whether a prompt looks like a path: readers of pipeline files take text without whitespace and braces for
    one."""
    return not any(mark in prompt for mark in " \n\t{}")
