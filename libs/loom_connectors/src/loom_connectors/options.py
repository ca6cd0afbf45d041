"""Reads a connector's `options` into its model, and reports every unknown key and every misfit at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from loom_common.errors import InvalidDefinition, Problem


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
        problems = [
            _problem(model, (section, "options", *detail["loc"]), detail["type"], detail["input"], detail["msg"])
            for detail in error.errors(include_url=False)
        ]
        raise InvalidDefinition(problems) from None


def _problem(model: type[Options], path: tuple[str | int, ...], kind: str, found: Any, words: str) -> Problem:
    if kind != "extra_forbidden":
        return Problem(path, repr(found), words.removeprefix("Value error, ").removeprefix("Input should be "))
    key = str(path[-1])
    known = sorted(_known_keys(model, path[2:-1]))
    expected = f"one of {', '.join(known)}" if known else "no options: this connector has none"
    return Problem(path, f"the unknown key '{key}'", expected, closest(key, known))


def _known_keys(model: type[BaseModel], nested: tuple[str | int, ...]) -> list[str]:
    for part in nested:
        inner = model.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
