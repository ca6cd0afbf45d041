"""Shows, column by column, how source, prompt, output and destination of a pipeline fit together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loom_common.domain.checks.field_names import output_fields
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.fields import ColumnFit, Fields


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """Describes one column on its way."""

    column: str
    origin: str | None
    """Says where its values come from: `source`, `output`, or both; None for a column that a run does not write."""
    in_prompt: bool
    """Tells whether the prompt shows it to the model."""
    written: str | None
    there: str | None
    done: str
    fits: bool


def rows_of(
    pipeline: Pipeline, definition: Mapping[str, Any], prompt: str | None, fields: Fields | None
) -> list[ColumnRow]:
    """Return every column of the source and of the output, as far as they are known. `definition` is the pipeline as it
    is written, and `fields` are those of its source."""
    output = output_fields(definition, fields)
    prompted = prompted_fields(prompt)
    carried = {*pipeline.carried_key, *pipeline.load.include}
    source, made = () if fields is None else fields.names, () if output is None else output.names
    return [
        ColumnRow(
            name,
            _origin(name in source or name in carried, name in made),
            name in prompted,
            None,
            None,
            "written" if name in carried or name in made else "read",
            fits=True,
        )
        for name in dict.fromkeys((*source, *carried, *made))
    ]


def with_fits(rows: Sequence[ColumnRow], fits: Iterable[ColumnFit], prompted: Collection[str] = ()) -> list[ColumnRow]:
    """Return the columns with those of the destination. `prompted` are the fields that the prompt shows."""
    compared = {fit.name: fit for fit in fits}
    known = {row.column: row for row in rows}
    joined = []
    for name in dict.fromkeys((*known, *compared)):
        row = known.get(name) or ColumnRow(name, None, name in prompted, None, None, "read", fits=True)
        if (fit := compared.get(name)) is not None:
            row = replace(row, written=fit.written, there=fit.there, done=fit.done, fits=fit.fits)
        joined.append(row)
    return joined


def differing(rows: Sequence[ColumnRow]) -> list[ColumnRow]:
    """Return the columns that the destination lacks or does not take as they are."""
    return [row for row in rows if not row.fits or row.done.startswith("added")]


def prompted_fields(prompt: str | None) -> frozenset[str]:
    """Return the fields of the source that the text of a prompt shows to the model."""
    if prompt is None:
        return frozenset()
    from loom_common.domain.prompts.prompt_check import fields_of

    return frozenset(field.name for field in fields_of(prompt))


def _origin(is_read: bool, is_made: bool) -> str | None:  # noqa: FBT001 - two answers, in this order
    return " and ".join([*(["source"] if is_read else []), *(["output"] if is_made else [])]) or None
