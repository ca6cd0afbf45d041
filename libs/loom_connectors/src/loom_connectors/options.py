"""Reads a connector's `options` into its model, and reports every unknown key and every misfit at once."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from loom_common.errors import InvalidDefinition, Problem
from loom_common.expectations import expectation


class Options(BaseModel):
    """Serves as the base of what a connector lets the user set. Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NoOptions(Options):
    """Belongs to a connector that has nothing to set."""


Model = TypeVar("Model", bound=Options)


def closest(word: str, known: list[str]) -> str | None:
    """Return the known word the user most likely meant; None where nothing is near."""
    matches = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def options_of(model: type[Model], given: Mapping[str, Any], section: str) -> Model:
    """Return the options of `section` (`extract` or `load`). Raises `InvalidDefinition` with every mistake in them."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        problems = [_problem(model, section, detail) for detail in error.errors(include_url=False)]
        raise InvalidDefinition(list(dict.fromkeys(problems))) from None


def _problem(model: type[Options], section: str, detail: ErrorDetails) -> Problem:
    nested, inner = _written_path(model, detail["loc"])
    path, kind, found, words = (section, "options", *nested), detail["type"], detail["input"], detail["msg"]
    if kind == "extra_forbidden":
        key = str(path[-1])
        known = sorted(inner.model_fields)
        expected = f"one of {', '.join(known)}" if known else "no options: this connector has none"
        return Problem(path, f"the unknown key '{key}'", expected, closest(key, known))
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kinds = _sections_in(inner.model_fields[str(path[-1])].annotation)
        known = [tag for kind in kinds for tag in get_args(kind.model_fields["type"].annotation)]
        tag = detail.get("ctx", {}).get("tag")
        said = "no `type`" if tag is None else f"the unknown type '{tag}'"
        return Problem((*path, "type"), said, f"one of {', '.join(known)}", closest(str(tag), known))
    if kind == "missing":
        return Problem(path, "nothing", "a value: it is required")
    shown = "a text in clear" if kind.startswith("clear_text") else repr(found)
    return Problem(path, shown, expectation(words))


def _written_path(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[tuple[str | int, ...], type[BaseModel]]:
    """Return the place of a mistake as the user wrote it, and the model that its last key belongs to. Where a section
    has a `type`, pydantic puts the type between the section and its key."""
    path: list[str | int] = []
    rest = list(loc)
    while rest:
        part = rest.pop(0)
        path.append(part)
        field = model.model_fields.get(str(part))
        kinds = _sections_in(field.annotation) if field is not None else []
        if len(kinds) > 1 and rest:
            tag = rest.pop(0)
            kinds = [kind for kind in kinds if tag in get_args(kind.model_fields["type"].annotation)]
        if kinds and rest:
            model = kinds[0]
        elif rest:
            path += [each for each in rest if isinstance(each, int)]
            break
    return tuple(path), model


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that a value may be."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [kind for inner in get_args(annotation) for kind in _sections_in(inner)]
