"""The row of a record: what identifies it, what the pipeline includes, and its output."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.contracts.v1 import EvaluatedRecord
from loom_common.domain.output import json_schema
from loom_common.domain.pipeline import Pipeline
from loom_common.domain.whole_numbers import whole_numbers
from loom_connectors.ports import Row


def rows_of(records: Sequence[EvaluatedRecord], pipeline: Pipeline) -> list[Row]:
    """Of each record: key fields and `load.include` fields of the input, then the output, which wins where names meet.

    An included field that a record lacks is null, so that all rows have the same columns. What the output declares to
    be an integer is one, also where it was written `1.0`."""
    carried = dict.fromkeys((*pipeline.extract.keys, *pipeline.load.include))
    shape = pipeline.transform.shape
    whole = whole_numbers(json_schema(shape)) if shape is not None else None
    rows = []
    for record in records:
        values = {name: record.input.get(name) for name in carried}
        values.update(record.result if whole is None else whole(record.result))
        rows.append(Row(record.id, values))
    return rows
