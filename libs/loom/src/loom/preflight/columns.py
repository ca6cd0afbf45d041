"""Shows, column by column, how source, prompt, output and destination of a pipeline fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loom.preflight.check import Check
from loom.preflight.field_names import output_fields
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.definition.transform import AiTransformConfig
from loom_connectors.ports.destination import ColumnFit


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


def rows_of(loaded: LoadedPipeline, looked: Sequence[Check]) -> list[ColumnRow]:
    """Return every column of the source, the output and the destination, as far as the checks saw them."""
    fields = next((check.fields for check in looked if check.fields is not None), None)
    fits = {fit.name: fit for check in looked if check.what == "destination" for fit in check.fits}
    output = output_fields(loaded.definition, fields)
    prompted = _prompted(loaded)
    carried = {*loaded.pipeline.extract.keys, *loaded.pipeline.load.include}
    source, made = () if fields is None else fields.names, () if output is None else output.names
    rows = []
    for name in dict.fromkeys((*source, *carried, *made, *fits)):
        origins = [*(["source"] if name in source or name in carried else []), *(["output"] if name in made else [])]
        is_written = name in carried or name in made
        fit = fits.get(name) or ColumnFit(name, None, None, "written" if is_written else "read", fits=True)
        rows.append(
            ColumnRow(name, " and ".join(origins) or None, name in prompted, fit.written, fit.there, fit.done, fit.fits)
        )
    return rows


def differing(rows: Sequence[ColumnRow]) -> list[ColumnRow]:
    """Return the columns that the destination lacks or does not take as they are."""
    return [row for row in rows if not row.fits or row.done.startswith("added")]


def _prompted(loaded: LoadedPipeline) -> frozenset[str]:
    if loaded.prompt is None or not isinstance(loaded.pipeline.transform, AiTransformConfig):
        return frozenset()
    from loom_common.domain.prompts.prompt_check import fields_of

    return frozenset(field.name for field in fields_of(loaded.prompt.text))
