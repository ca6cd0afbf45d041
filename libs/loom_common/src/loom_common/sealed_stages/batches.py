"""Opens what a stage is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchTransformed,
    ExtractedRecord,
    ExtractSlice,
    TransformedRecord,
)
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.sealing.sealer import Sealer

CURSOR = "cursor"
"""The path of a place in a source, which may hold values of records."""

Batch = BatchExtracted | BatchTransformed | BatchEvaluated


def opened_batch(batch: Batch, sealer: Sealer) -> Batch:
    """Return the batch with plain records. Raises `PermanentError` where a value cannot be opened."""
    return batch.model_copy(update={"records": tuple(_opened(each, sealer) for each in batch.records)})


def opened_slice(request: ExtractSlice, sealer: Sealer) -> ExtractSlice:
    """Return the request with the places that its source knows. Raises `PermanentError`."""
    piece = request.piece
    if piece is not None:
        places = {name: sealer.opened_value(CURSOR, getattr(piece, name)) for name in ("start", "until")}
        piece = piece.model_copy(update=places)
    return request.model_copy(update={"cursor": sealer.opened_value(CURSOR, request.cursor), "piece": piece})


def values_of(message: Message, fields: SensitiveFields) -> Iterator[Any]:
    """Yield the sensitive values of every record of a message."""
    for record in getattr(message, "records", ()):
        yield from values_of_record(record, fields)


def values_of_record(record: ExtractedRecord | TransformedRecord, fields: SensitiveFields) -> Iterator[Any]:
    """Yield the sensitive values of the input and of the output of a record."""
    yield from fields.values(record.input)
    if isinstance(record, TransformedRecord) and record.output is not None:
        yield from fields.values(record.output)


def _opened(record: Any, sealer: Sealer) -> Any:
    if isinstance(record, TransformedRecord):
        output = None if record.output is None else sealer.opened(record.output)
        return replace(record, input=sealer.opened(record.input), output=output)
    return replace(record, input=sealer.opened(record.input))
