"""The row of a record: what identifies it, what the pipeline includes, and its output."""

from __future__ import annotations

from loom_common.contracts.v1 import EvaluatedRecord
from loom_common.domain.pipeline import Pipeline
from loom_connectors.ports import Row


def row_of(record: EvaluatedRecord, pipeline: Pipeline) -> Row:
    """Key fields and `load.include` fields of the input, then the output, which wins where names meet.

    An included field that this record lacks is null, so that all rows have the same columns."""
    carried = dict.fromkeys((*pipeline.extract.keys, *pipeline.load.include))
    values = {name: record.input.get(name) for name in carried}
    return Row(record.id, {**values, **record.result})
