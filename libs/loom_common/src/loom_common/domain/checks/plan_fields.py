"""Compares the names in a run's plan with the fields of its source, as `field_names` does with those in a file.

A plan tells the keys of its definition, and the lines of a prompt that came from a file, but no line of the pipeline
file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loom_common.domain.checks.columns import ColumnRow, rows_of
from loom_common.domain.checks.field_names import Compared, KeyPath, compared
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.question.written import templates_beside
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.views import by_step, relocated
from loom_common.domain.values.fields import Fields
from loom_common.errors import Problem

_PROMPT: KeyPath = ("transform", "prompt")


class _Keys:
    """Tells mistakes by their keys alone."""

    def problem(self, path: KeyPath, found: str, expected: str, suggestion: str | None = None) -> Problem:
        return Problem(path, found, expected, suggestion)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """Holds the plan's prompt."""

    text: str
    file: str | None
    """The path that the definition names it with; None where the text stands in the definition."""

    at: KeyPath = _PROMPT
    beside: tuple[_Prompt, ...] = ()

    def problem(
        self, line: int, column: int | None, found: str, expected: str, suggestion: str | None = None
    ) -> Problem:
        if self.file is None:
            return Problem(self.at, f"{found} (line {line})", expected, suggestion)
        return Problem((), found, expected, suggestion, self.file, line, column)


def compared_in_plan(plan: Plan, source: Fields | None) -> Compared:
    """Return every name in the plan that is no field of what it should be one of."""
    return compared(_Keys(), _definition(plan), _prompt(plan), source)


def columns_of(plan: Plan, source: Fields | None) -> list[ColumnRow]:
    """Return every column of the source and of the output, as far as they are known."""
    return rows_of(plan.pipeline, _definition(plan), prompt_text(plan), source)


def prompt_text(plan: Plan) -> str | None:
    """Return the text of the plan's prompt and of what is asked besides; None where no model is asked."""
    prompt = _prompt(plan)
    return None if prompt is None else "\n".join(each.text for each in (prompt, *prompt.beside))


def _prompt(plan: Plan) -> _Prompt | None:
    """Return the prompt, and what is asked besides; of several steps the first, with all others beside it."""
    prompts: list[_Prompt] = []
    for place, alone in by_step(plan.pipeline):
        transform = alone.transform
        if isinstance(transform, AiTransformConfig):
            prompts.append(_written(plan, transform.prompt, relocated(place, _PROMPT)))
            beside = templates_beside(transform)
            prompts += [_written(plan, text, relocated(place, at)) for at, text in beside]
    return replace(prompts[0], beside=tuple(prompts[1:])) if prompts else None


def _written(plan: Plan, text: str, at: KeyPath) -> _Prompt:
    return _Prompt(plan.text_of(text), text if text in plan.files else None, at)


def _definition(plan: Plan) -> Mapping[str, Any]:
    return plan.pipeline.model_dump(mode="json", by_alias=True)
