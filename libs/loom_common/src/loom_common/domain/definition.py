"""From what a user wrote (a mapping) to a `Pipeline`, or to every mistake in it at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from loom_common.domain.evaluators import EvaluatorConfig
from loom_common.domain.pipeline import Pipeline
from loom_common.domain.urls import redacted
from loom_common.errors import InvalidDefinition, Problem

Locate = Callable[[tuple[str | int, ...]], tuple[str | None, int | None, int | None]]
"""Where a path of keys stands in the user's file: (file, line, column)."""
M = TypeVar("M", bound=BaseModel)

_EVALUATORS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(EvaluatorConfig)[0])
}


def parse(definition: Mapping[str, Any], locate: Locate = lambda _: (None, None, None)) -> Pipeline:
    """Validate a definition. Raises `InvalidDefinition` with every problem, placed by `locate`."""
    return validated(Pipeline, definition, locate)


def validated(model: type[M], written: Mapping[str, Any], locate: Locate) -> M:
    """Validate what a user wrote against any model, in the words of `parse`. Raises `InvalidDefinition`."""
    try:
        return model.model_validate(written)
    except ValidationError as error:
        found = [_problem(detail, written, locate, model) for detail in error.errors(include_url=False)]
        raise InvalidDefinition(_distinct(found)) from None


def _distinct(problems: list[Problem]) -> list[Problem]:
    """Each mistake once, in the order of the file."""
    distinct = {(problem.path, problem.expected): problem for problem in problems}.values()
    return sorted(distinct, key=lambda problem: (problem.line or 0, problem.column or 0))


def _problem(detail: ErrorDetails, written: Mapping[str, Any], locate: Locate, model: type[BaseModel]) -> Problem:
    path = _written_path(detail["loc"], written)
    found, expected, suggestion = _words(detail, path, model)
    file, line, column = locate(path)
    return Problem(path, found, expected, suggestion, file, line, column)


def _written_path(loc: tuple[str | int, ...], definition: Any) -> tuple[str | int, ...]:
    """Pydantic's location without the names it adds for union members: only keys the user wrote (or left out)."""
    path: list[str | int] = []
    here: Any = definition
    for position, part in enumerate(loc):
        is_last = position == len(loc) - 1
        if isinstance(here, Mapping) and (part in here or (is_last and isinstance(part, str) and part.isidentifier())):
            path.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path.append(part)
            here = here[part]
    return tuple(path)


def _words(detail: ErrorDetails, path: tuple[str | int, ...], model: type[BaseModel]) -> tuple[str, str, str | None]:
    kind, context = detail["type"], detail.get("ctx", {})
    last = str(path[-1]) if path else ""
    match kind:
        case "missing":
            return "nothing", f"a value for `{last}`", None
        case "extra_forbidden":
            known = _known_keys(detail["loc"], model)
            return f"the unknown key '{last}'", f"one of {', '.join(known)}", _closest(last, known)
        case "literal_error":
            options = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return _shown(detail["input"]), f"one of {', '.join(options)}", _closest(str(detail["input"]), options)
        case "union_tag_invalid" | "union_tag_not_found":
            given = detail["input"].get("type") if isinstance(detail["input"], Mapping) else detail["input"]
            return f"type {_shown(given)}", f"one of {', '.join(_EVALUATORS)}", _closest(str(given), list(_EVALUATORS))
        case "missing_for_type" | "strange_for_type" | "missing_threshold" | "duplicate_names":
            return "the settings given", detail["msg"], None
        case "clear_text_password" | "clear_text_secret":
            return "a secret in clear", detail["msg"], None
        case _:
            return _shown(detail["input"]), _lower_first(detail["msg"]), None


def _known_keys(loc: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    for part in loc[:-1]:
        if part in _EVALUATORS:
            model = _EVALUATORS[str(part)]
        elif isinstance(part, str) and part in model.model_fields:
            model = _section_of(model.model_fields[part].annotation) or model
        elif isinstance(part, str) and (union_member := _section_named(model, part)):
            model = union_member
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _section_of(arg))), None)


def _section_named(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    return model if model.__name__ == name else None


def _closest(word: str, options: list[str]) -> str | None:
    matches = difflib.get_close_matches(word.lower(), options, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _shown(value: Any) -> str:
    text = redacted(value) if isinstance(value, str) else value
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _lower_first(text: str) -> str:
    text = text.removeprefix("Value error, ").removeprefix("Input should be ")
    return text[:1].lower() + text[1:]
