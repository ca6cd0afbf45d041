"""Checks the prompts and context files of a plan in a run request. It does no I/O.

A pipeline file's reader has made the same checks, but anyone may write a run request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from loom_common.domain.checks import cascade_file
from loom_common.domain.checks.calibrator import named_in, parsed
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import embedded_text
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.ontology.in_plan import path_in
from loom_common.domain.question.files import names_a_file
from loom_common.domain.question.written import KeyPath, in_a_file, templates_beside
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.views import by_step, relocated
from loom_common.errors import Problem

_AMONG = "that is among the request's `files`"


def plan_mistakes(plan: Plan) -> Iterator[Problem]:
    """Yield the mistakes in the prompt and in calibrators, and the files that are missing from the request."""
    for place, name in named_in(plan.pipeline):
        try:
            parsed(plan.files[name])
        except KeyError:
            yield Problem(place, f"{name!r}", f"a file {_AMONG} ({_there(plan)})")
        except ValueError as error:
            yield Problem(place, f"{name!r}", f"a calibrator that can be used ({error})")
    yield from cascade_file.mistakes(plan.pipeline, plan.files)
    for place, alone in by_step(plan.pipeline):
        for each in _of_transform(plan, alone.transform):
            yield replace(each, path=relocated(place, each.path))


def _of_transform(plan: Plan, transform: TransformConfig) -> Iterator[Problem]:
    if isinstance(transform, AiTransformConfig):
        yield from _question_problems(plan, transform)
    if (text := embedded_text(transform)) is not None:
        yield from _template_problems(plan, None, ("transform", "text"), text)


def _question_problems(plan: Plan, transform: AiTransformConfig) -> Iterator[Problem]:
    for position, name in enumerate(transform.context):
        if name not in plan.files:
            yield Problem(("transform", "context", position), f"{name!r}", f"a file {_AMONG} ({_there(plan)})")
    at = ("transform", "prompt")
    if transform.prompt not in plan.files and _names_a_file(transform.prompt):
        yield Problem(at, f"{transform.prompt!r}", f"a prompt, or a file {_AMONG} ({_there(plan)})")
        return
    templates = [plan.text_of(transform.prompt)]
    yield from _template_problems(plan, transform, at, templates[0])
    for place, written in templates_beside(transform):
        if in_a_file(place) and written not in plan.files and names_a_file(written):
            yield Problem(place, f"{written!r}", f"a text, or a file {_AMONG} ({_there(plan)})")
            continue
        templates.append(plan.text_of(written))
        yield from _template_problems(plan, transform, place, templates[-1])
    if transform.examples is not None:
        yield from _example_problems(plan, transform, transform.examples.file, templates)


def _template_problems(plan: Plan, transform: AiTransformConfig | None, at: KeyPath, text: str) -> Iterator[Problem]:
    from loom_common.domain.prompts.prompt import EXAMPLES, ONTOLOGY
    from loom_common.domain.prompts.prompt_check import check_prompt

    names = [PurePath(name).stem for name in (transform.context if transform else ())]
    also = [] if transform is None or transform.examples is None else [EXAMPLES]
    also += [] if transform is None else transform.beside
    also += [] if path_in(plan.files) is None else [ONTOLOGY]
    for each in check_prompt(text, names, list(plan.pipeline.params), also):
        yield Problem(at, f"{each.found} (line {each.line})", each.expected, each.suggestion)


def _example_problems(plan: Plan, transform: AiTransformConfig, name: str, templates: list[str]) -> Iterator[Problem]:
    if name not in plan.files:
        at = ("transform", "examples", "file")
        yield Problem(at, f"{name!r}", f"a file {_AMONG} ({_there(plan)})")
        return
    from loom_common.domain.checks.examples_check import example_mistakes

    for each in example_mistakes(plan.files[name], name, transform, templates):
        yield Problem((), each.found, each.expected, None, name, each.line)


def _there(plan: Plan) -> str:
    return ", ".join(plan.files) or "there is none"


def _names_a_file(prompt: str) -> bool:
    """Say whether a prompt looks like a path: readers of pipeline files take text without whitespace and braces for
    one."""
    return not any(mark in prompt for mark in " \n\t{}")
