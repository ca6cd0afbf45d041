"""Opens what a stage is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchInSteps,
    BatchTransformed,
    ExtractedRecord,
    ExtractSlice,
    RecordInSteps,
    TransformedRecord,
)
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.sealed_stages.amid_steps import opened_amid, values_amid
from loom_common.sealing.sealer import Sealer

CURSOR = "cursor"
"""The path of a place in a source, which may hold values of records."""

_STATE = "state"
_RECEIVED = {"page", "record", _STATE}
"""Names what a place among received messages consists of."""

Batch = BatchExtracted | BatchInSteps | BatchTransformed | BatchEvaluated


def opened_batch(batch: Batch, sealer: Sealer) -> Batch:
    """Return the batch with plain records. Raises `PermanentError` where a value cannot be opened."""
    return batch.model_copy(update={"records": tuple(_opened(each, sealer) for each in batch.records)})


def opened_slice(request: ExtractSlice, sealer: Sealer) -> ExtractSlice:
    """Return the request with the places that its source knows. Raises `PermanentError`."""
    piece = request.piece
    if piece is not None:
        places = {name: opened_place(getattr(piece, name), sealer) for name in ("start", "until")}
        piece = piece.model_copy(update=places)
    return request.model_copy(update={"cursor": opened_place(request.cursor, sealer), "piece": piece})


def sealed_place(place: Any, sealer: Sealer) -> Any:
    """Return a place in a source, sealed. Of a place among what was received, the number of its page is shown, by which
    the coordinator knows which pages are not needed any more."""
    if _is_received(place):
        state = place[_STATE]
        return {**place, _STATE: None if state is None else sealer.value(CURSOR, state)}
    return None if place is None else sealer.value(CURSOR, place)


def opened_place(place: Any, sealer: Sealer) -> Any:
    """Return the place that `sealed_place` sealed. Raises `PermanentError`."""
    if _is_received(place):
        return {**place, _STATE: sealer.opened_value(CURSOR, place[_STATE])}
    return sealer.opened_value(CURSOR, place)


def _is_received(place: Any) -> bool:
    return isinstance(place, Mapping) and place.keys() == _RECEIVED


def values_of(message: Message, fields: SensitiveFields) -> Iterator[Any]:
    """Yield the sensitive values of every record of a message."""
    for record in getattr(message, "records", ()):
        yield from values_of_record(record, fields)


def values_of_record(
    record: ExtractedRecord | TransformedRecord | RecordInSteps, fields: SensitiveFields
) -> Iterator[Any]:
    """Yield the sensitive values of the input and of the output of a record."""
    if isinstance(record, RecordInSteps):
        yield from values_amid(record, fields)
        return
    yield from fields.values(record.input)
    if isinstance(record, TransformedRecord) and record.output is not None:
        yield from fields.values(record.output)


def _opened(record: Any, sealer: Sealer) -> Any:
    if isinstance(record, RecordInSteps):
        return opened_amid(record, sealer)
    if isinstance(record, TransformedRecord):
        output = None if record.output is None else sealer.opened(record.output)
        return replace(record, input=sealer.opened(record.input), output=output)
    return replace(record, input=sealer.opened(record.input))
