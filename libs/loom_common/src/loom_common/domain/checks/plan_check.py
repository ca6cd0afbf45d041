"""Checks the prompts and context files of a plan in a run request. It does no I/O.

A pipeline file's reader has made the same checks, but anyone may write a run request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from loom_common.domain.definition.transform import AiTransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.errors import Problem


def plan_mistakes(plan: Plan) -> Iterator[Problem]:
    """Yield the mistakes in the prompt, and the context files and prompt files that are missing from the request."""
    transform = plan.pipeline.transform
    if not isinstance(transform, AiTransformConfig):
        return
    there = ", ".join(plan.files) or "there is none"
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


def _names_a_file(prompt: str) -> bool:
    """Say whether a prompt looks like a path: readers of pipeline files take text without whitespace and braces for
    one."""
    return not any(mark in prompt for mark in " \n\t{}")
