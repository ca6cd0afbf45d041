"""Tells what loaded records came to, for a run that keeps it for whoever gave them."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.contracts.v1 import EvaluatedRecord, RecordOutput
from loom_common.domain.json_values.exact_json import dumps
from loom_common.text import storable_value
from loom_connectors.ports.destination import FailedRow

LARGEST = 64 * 1024
"""The most bytes of the JSON of an output that is kept: an answer over HTTP has those of many records."""


def outputs_of(records: Sequence[EvaluatedRecord], failed: Sequence[FailedRow]) -> list[RecordOutput]:
    """Return the outputs of those records whose rows were not refused; without its output where one is larger than
    `LARGEST`."""
    refused = {row.record_id for row in failed}
    return [_output(record) for record in records if record.id not in refused]


def _output(record: EvaluatedRecord) -> RecordOutput:
    fits = len(dumps(record.result)) <= LARGEST
    return RecordOutput(record_id=record.id, output=storable_value(record.result) if fits else None)
