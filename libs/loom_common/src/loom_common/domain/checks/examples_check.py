"""Checks files of examples: whether they can be read, fit the declared output, and have what the prompt shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loom_common.domain.prompts.prompt_check import fields_of
from loom_common.domain.question.examples import ExampleMistake, read_examples
from loom_common.domain.question.template import shows_examples
from loom_common.domain.schema.output import TEXT, json_schema
from loom_common.domain.section import said

_TOLD = 10
"""The most mistakes of one file that are told."""


def example_mistakes(text: str, name: str, transform: Any, templates: list[str]) -> Iterator[ExampleMistake]:
    """Yield mistakes in a file of examples of a transform, which may have mistakes elsewhere. `templates` are the texts
    of its templates, the prompt first."""
    schema = _schema(said(transform, "output"))
    if schema is _UNREADABLE:
        return  # told where it stands
    examples, mistakes = read_examples(text, name, schema)
    yield from mistakes[:_TOLD]
    by = said(said(transform, "examples"), "by")
    wanted = [(by, "examples.by")] if isinstance(by, str) else []
    if templates and not any(map(shows_examples, templates)):
        # As turns, the examples are shown through the prompt's own template.
        wanted += [(field.name, "the prompt") for field in fields_of(templates[0])]
    told = 0
    for example in examples:
        lacking = [
            f"`{field}` ({where} names it)" for field, where in dict.fromkeys(wanted) if field not in example.input
        ]
        if lacking and told < _TOLD:
            told += 1
            there = ", ".join(example.input) or "nothing"
            yield ExampleMistake(example.line, f"an input of {there}", " and ".join(lacking))


_UNREADABLE: Mapping[str, Any] = {"unreadable": True}


def _schema(output: Any) -> Mapping[str, Any] | None:
    if output is None or output == TEXT:
        return None
    try:
        return json_schema(output) if isinstance(output, Mapping) else _UNREADABLE
    except ValueError:
        return _UNREADABLE
