"""Compiles prompts, which are Jinja2 templates that can use `input`, `context` and `params`, and nothing else.

`templates.py` defines how values become text and how large an expression may grow. An unknown name is an error, never
an empty text. `input.items` is the record's field where it has one, and not the method of the mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jinja2

from loom_common.domain.prompts.shown import Shown
from loom_common.domain.prompts.templates import Environment, plain_text
from loom_common.errors import RecordError
from loom_common.text import named, readable

ROOTS = ("input", "context", "params")
"""Holds the names that a prompt may use."""
ONTOLOGY = "ontology"
"""The name of what the fields mean, where the pipeline has an ontology."""
EXAMPLES = "examples"
"""The name of the solved examples, where the pipeline has some."""

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
"""Holds the errors that a prompt's expression may raise because of a record's data, endless recursion included."""


class _Root(dict[str, Any]):
    """Represents one of the three roots, with its name for error messages."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.name = name


class _Missing(jinja2.StrictUndefined):
    """Stands for a missing name: it raises an error that names it and lists the existing names."""

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
    """Return the Jinja2 environment of prompts."""
    return Environment(_Missing)


class Prompt:
    """Represents a compiled prompt with its context and parameters, to be rendered for each record."""

    def __init__(
        self, text: str, context: Mapping[str, str], params: Mapping[str, Any], ontology: str | None = None
    ) -> None:
        """Take what `{{ ontology }}` shows, where there is one. Raises `jinja2.TemplateSyntaxError`."""
        self._template = _compiled(text)
        self._context = _Root("context", context)
        self._params = _Root("params", params)
        self._besides: dict[str, Any] = {} if ontology is None else {ONTOLOGY: ontology}

    def render(self, data: Mapping[str, Any], examples: Sequence[Mapping[str, Any]] | None = None) -> str:
        """Return the prompt for a record's input, which may show `examples`. Raises `RecordError` (code `prompt`) that
        names what is missing."""
        shown = self._besides if examples is None else {**self._besides, EXAMPLES: list(examples)}
        if isinstance(data, Shown):
            shown = {**shown, **data.beside}
        try:
            parts = self._template.generate(
                input=_Root("input", data), context=self._context, params=self._params, **shown
            )
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
