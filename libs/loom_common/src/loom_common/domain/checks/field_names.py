"""Checks the fields that a definition names, held against those that there are: of its source, and of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from loom_common.domain.definition.transforms.step_fields import (
    grouped_fields,
    made_by_steps,
    read_by_steps,
    seen_by_steps,
)
from loom_common.domain.model_options.asking import probability_field
from loom_common.domain.model_options.scorers import fields_of
from loom_common.domain.model_options.several_calls import agreement_field
from loom_common.domain.schema.output import TEXT, json_schema
from loom_common.domain.section import items, said
from loom_common.domain.steps.lookups import ENRICH, looked_up_by, wanted_fields
from loom_common.domain.steps.resolving import of_the_file, with_blocks
from loom_common.domain.steps.views import has_steps
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.near import closest
from loom_common.errors import Problem

KeyPath = tuple[str | int, ...]
_SHOWN = 20
"""Field names that a message lists."""
_OF_INPUT = ("reference_field", "source_field", "query_field", "baseline_field")
"""Holds the keys of evaluators that name a field of the source."""

Side = str | int
"""Says whose fields: `source`, `group`, `output`, `row`, `record`, or, of a number, those that the step of that place
sees."""
_CHECKED: tuple[tuple[str, Side], ...] = (("extract", "source"), ("load", "row"))
"""Holds the sections with quality checks, and whose fields these look at."""


class Places(Protocol):
    """Knows where the keys of a definition are written, if anywhere."""

    def problem(self, path: KeyPath, found: str, expected: str, suggestion: str | None = None) -> Problem:
        """Return a mistake at `path`."""
        ...


class WrittenPrompt(Protocol):
    """Holds a prompt, and knows where it is written."""

    @property
    def text(self) -> str:
        """Return the text of the prompt."""
        ...

    @property
    def at(self) -> KeyPath:
        """Return the key of the prompt in the definition."""
        ...

    @property
    def beside(self) -> Sequence[WrittenPrompt]:
        """Return the other templates of the question: the system prompt and turns."""
        ...

    def problem(
        self, line: int, column: int | None, found: str, expected: str, suggestion: str | None = None
    ) -> Problem:
        """Return a mistake at a 1-based line and column of the text."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """Describes a field that a definition names."""

    name: str
    side: Side
    """Says whose field it has to be: `row` is what is loaded, key, included fields and output; `record` is the source
    or the output."""
    problem: Callable[[str, str, str | None], Problem]
    """The mistake at its place, of what was found, what was expected, and what was meant."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Holds the result of comparing names with fields."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def compared(
    document: Places, definition: Mapping[str, Any], prompt: WrittenPrompt | None, source: Fields | None
) -> Compared:
    """Return every name that is no field of what it should be one of. Where that cannot be known, what was not looked
    at. `definition` may have mistakes elsewhere; `source` is None where its fields are not known."""
    definition = {**definition, "transform": with_blocks(said(definition, "transform"))}
    output = output_fields(definition, source)
    stepped = seen_by_steps(items(said(definition, "transform"), "steps"), source)
    there: dict[Side, Fields | None] = {
        **{at: fields for at, fields in stepped.items()},  # noqa: C416 - the keys are wider than those of a step
        "source": source,
        "group": grouped_fields(said(definition, "transform")),
        "output": output,
        "row": _row(definition, output),
        "record": _either(source, output),
    }
    problems, unsure, unknown = [], [], list[str]()
    for named in chain(
        _named(document, definition, prompt),
        _in_sequence(document, definition),
        _checked(document, definition),
        _sensitive(document, definition),
    ):
        fields = there[named.side]
        if fields is None:
            unknown.append(named.name)
        elif named.name not in fields.names and fields.certain:
            problems.append(_problem(named, fields, source, output))
        elif named.name not in fields.names:
            unsure.append(named.name)
    warnings = []
    if unsure:
        lists = ", ".join(dict.fromkeys(unsure))
        warnings.append(f"none of the records looked at has {lists}; others may, as their fields differ")
    if unknown:
        lists = ", ".join(dict.fromkeys(unknown))
        warnings.append(f"{lists}: only a run can tell whether there are such fields")
    return Compared(tuple(problems), tuple(warnings))


def output_fields(definition: Mapping[str, Any], source: Fields | None) -> Fields | None:
    """Return the fields of a record's output, where the definition tells."""
    transform = said(definition, "transform")
    fields = _answered(transform, source)
    if fields is None or said(transform, "type") != "ai":
        return fields
    added = [name for name in (agreement_field(transform), probability_field(transform)) if name is not None]
    return Fields((*fields.names, *added), certain=fields.certain)


def _answered(transform: Any, source: Fields | None) -> Fields | None:
    kind, spec = said(transform, "type"), said(transform, "output")
    if spec == TEXT or (kind == "ai" and spec is None):
        return Fields((TEXT,), certain=True)
    if isinstance(spec, Mapping):
        return _declared(spec)
    if has_steps(transform):
        return made_by_steps(items(transform, "steps"), source)
    if kind == "passthrough":
        return source
    if kind == ENRICH:
        return Fields(tuple(wanted_fields(transform)), certain=True)
    if kind == "embed" and isinstance(into := said(transform, "into") or "embedding", str):
        return Fields((into,), certain=True)
    made = fields_of(transform) if kind == "scorer" else None
    return None if made is None else Fields(tuple(made), certain=True)


def _declared(spec: Mapping[str, Any]) -> Fields | None:
    try:
        schema = json_schema(spec)
    except ValueError:
        return None
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return None
    is_open = schema.get("additionalProperties") not in (None, False) or "patternProperties" in schema
    return Fields(tuple(map(str, properties)), certain=not is_open)


def _row(definition: Mapping[str, Any], output: Fields | None) -> Fields | None:
    if output is None:
        return None
    key = _texts(said(definition, "extract"), "key") if grouped_fields(said(definition, "transform")) is None else ()
    carried = (*key, *_texts(said(definition, "load"), "include"))
    return Fields(tuple(dict.fromkeys((*carried, *output.names))), output.certain)


def _either(source: Fields | None, output: Fields | None) -> Fields | None:
    if source is None or output is None:
        return None
    return Fields(tuple(dict.fromkeys((*source.names, *output.names))), source.certain and output.certain)


def _named(document: Places, definition: Mapping[str, Any], prompt: WrittenPrompt | None) -> Iterator[Named]:
    def at(path: KeyPath, name: Any, side: Side) -> Iterator[Named]:
        yield from _at(document, path, name, side)

    def listed(section: str, key: str, side: Side) -> Iterator[Named]:
        value = said(said(definition, section), key)
        yield from at((section, key), value, side)
        for position, name in enumerate(items(said(definition, section), key)):
            yield from at((section, key, position), name, side)

    given: Side = "source" if grouped_fields(said(definition, "transform")) is None else "group"
    yield from listed("extract", "key", "source")
    incremental = said(said(definition, "extract"), "incremental")
    yield from at(("extract", "incremental"), incremental, "source")
    yield from at(("extract", "incremental", "column"), said(incremental, "column"), "source")
    transform = said(definition, "transform")
    if said(transform, "type") in ("scorer", "embed"):
        yield from at(("transform", "field"), said(transform, "field"), "source")
    for path, name in looked_up_by(transform):
        yield from at(("transform", *path), name, "source")
    steps = items(transform, "steps")
    for path, name, step in read_by_steps(steps):
        yield from at(("transform", "steps", *of_the_file(steps, path)), name, step)
    if prompt is not None and (said(transform, "type") in ("ai", "embed") or has_steps(transform)):
        yield from _prompted(prompt, in_steps=has_steps(transform))
    for position, evaluator in enumerate(items(said(definition, "evaluate"), "evaluators")):
        place = ("evaluate", "evaluators", position)
        yield from at((*place, "field"), said(evaluator, "field"), "output")
        for key in _OF_INPUT:
            yield from at((*place, key), said(evaluator, key), given)
    yield from listed("load", "include", given)
    yield from listed("load", "key", "row")


def _prompted(prompt: WrittenPrompt, *, in_steps: bool) -> Iterator[Named]:
    """Yield the fields that the templates of the question name, or those of the questions of steps."""
    from loom_common.domain.prompts.prompt_check import fields_of

    for template in (prompt, *prompt.beside):
        place = template.at[2] if in_steps else None
        side: Side = place if isinstance(place, int) else "source"
        for field in fields_of(template.text):
            yield Named(field.name, side, _in_prompt(template, field.line, field.column))


def _in_sequence(document: Places, definition: Mapping[str, Any]) -> Iterator[Named]:
    """Yield the fields by which records are in sequence."""
    yield from _at(document, ("order_by",), said(definition, "order_by"), "source")
    for position, name in enumerate(items(definition, "order_by")):
        yield from _at(document, ("order_by", position), name, "source")


def _sensitive(document: Places, definition: Mapping[str, Any]) -> Iterator[Named]:
    """Yield the fields that are sensitive. Of a nested one, only the object that it stands in can be known."""
    for position, name in enumerate(items(definition, "sensitive")):
        if isinstance(name, str):
            yield from _at(document, ("sensitive", position), name.split(".")[0], "record")


def _at(document: Places, path: KeyPath, name: Any, side: Side) -> Iterator[Named]:
    if isinstance(name, str):
        yield Named(name, side, lambda found, expected, meant: document.problem(path, found, expected, meant))


def _checked(document: Places, definition: Mapping[str, Any]) -> Iterator[Named]:
    """Yield the fields that quality checks look at."""
    for section, side in _CHECKED:
        for position, check in enumerate(items(said(definition, section), "quality_checks")):
            place = (section, "quality_checks", position, "column")
            yield from _at(document, place, said(check, "column"), side)
            for column_at, name in enumerate(items(check, "column")):
                yield from _at(document, (*place, column_at), name, side)


def _in_prompt(prompt: WrittenPrompt, line: int, column: int | None) -> Callable[[str, str, str | None], Problem]:
    return lambda found, expected, meant: prompt.problem(line, column, found, expected, meant)


def _problem(named: Named, fields: Fields, source: Fields | None, output: Fields | None) -> Problem:
    words = {
        "source": "a field of the source",
        "group": "a field of the record of a group",
        "output": "a field of the output",
        "row": "a column of what is loaded",
        "record": "a field of the source or of the output",
    }.get(str(named.side), "a field of the source or of a step that it needs")
    near = closest(named.name, fields.names)
    elsewhere = ""
    if near is None and named.side == "source" and output is not None and named.name in output.names:
        elsewhere = " (the output has it, not the source)"
    if near is None and named.side != "source" and source is not None and named.name in source.names:
        elsewhere = " (the source has it, not the output)"
    shown = ", ".join(fields.names[:_SHOWN])
    more = f" and {len(fields.names) - _SHOWN} more" if len(fields.names) > _SHOWN else ""
    return named.problem(f"'{named.name}'{elsewhere}", f"{words}: {shown}{more}", near)


def _texts(section: Any, key: str) -> list[str]:
    value = said(section, key)
    return [value] if isinstance(value, str) else [each for each in items(section, key) if isinstance(each, str)]
