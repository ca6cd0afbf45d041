"""Prompts: Jinja2 templates that see `input`, `context` and `params`, and nothing else of the machine.

What a value looks like as text, and how far an expression may grow, says `templates.py`. A name that is not there is an
error, never an empty string. `input.items` is the field of that name where the
record has one, not a method of the mapping."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2

from loom_common.domain.prompts.templates import Environment, plain_text
from loom_common.errors import RecordError
from loom_common.text import named, readable

ROOTS = ("input", "context", "params")
"""What a prompt may name."""

_OF_THE_DATA = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    MemoryError,
)
"""What an expression of the prompt may raise for what it finds in a record, endless recursion included."""


class _Root(dict[str, Any]):
    """One of the three roots, which knows its name."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.name = name


class _Missing(jinja2.StrictUndefined):
    """Says which name is missing, and what there is instead."""

    @property
    def _undefined_message(self) -> str:
        name, holder = self._undefined_name, self._undefined_obj
        if isinstance(holder, Mapping):
            path = f"{holder.name}.{name}" if isinstance(holder, _Root) else str(name)
            return f"{path}, which is not there; there is {', '.join(map(str, holder)) or 'nothing'}"
        if self._undefined_hint or not isinstance(name, str):
            return super()._undefined_message
        return f"{name}, which is not there; there is {', '.join(ROOTS)}"


def environment() -> jinja2.Environment:
    """What templates are compiled in."""
    return Environment(_Missing)


class Prompt:
    """A compiled prompt with its context and parameters, to be rendered for each record."""

    def __init__(self, text: str, context: Mapping[str, str], params: Mapping[str, Any]) -> None:
        """Raises `jinja2.TemplateSyntaxError`."""
        self._template = _compiled(text)
        self._context = _Root("context", context)
        self._params = _Root("params", params)

    def render(self, data: Mapping[str, Any]) -> str:
        """The prompt for a record's input. Raises `RecordError` (code `prompt`) naming what is missing."""
        try:
            parts = self._template.generate(input=_Root("input", data), context=self._context, params=self._params)
            return readable(plain_text(parts))
        except jinja2.UndefinedError as error:
            raise RecordError(f"The prompt names {error.message}", code="prompt") from error
        except _OF_THE_DATA as error:
            raise RecordError(
                f"The prompt cannot be rendered for this record ({named(error)})", code="prompt"
            ) from error


@lru_cache(maxsize=32)
def _compiled(text: str) -> jinja2.Template:
    return environment().from_string(text)
