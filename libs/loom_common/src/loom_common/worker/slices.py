"""Says what an extractor found of a source, and cuts slices of records into batches, in the same way for a source and
for the replay of quarantined records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from loom_common.contracts.v1 import CheckCount, Derived, ExtractSlice, KeptRecord, SourceChecked
from loom_common.domain import record_bytes
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.incremental.window import Window
from loom_common.domain.record_bytes import MIB, bytes_of
from loom_common.domain.run.piece import Piece
from loom_common.domain.schema.columns import Columns
from loom_common.domain.sequence import Lanes
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.worker.stage_result import EVERY_STAGE, kept_for_error


class SliceRecord(Struct, frozen=True):
    """Holds a record as it enters a run. A record with an `error` goes to quarantine and no further.

    It is msgspec's kind of a dataclass, which takes half of the time to be made."""

    id: str
    input: dict[str, Any]
    error: RecordError | None = None
    derived: Derived | None = None


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """Holds what was found of a source before its first slice."""

    fact: SourceChecked
    pieces: Sequence[Piece] | None
    """Holds the pieces that the source is split into; None where that was not asked for, or something is in the way."""


@dataclass(frozen=True, slots=True)
class SlicedRecords:
    """Holds the records of one batch of a slice."""

    records: tuple[SliceRecord, ...]
    """Holds those that go on, none of which has an error."""
    kept: tuple[KeptRecord, ...]

    @property
    def extracted(self) -> int:
        """Return how many records were read for the batch."""
        return len(self.records) + len(self.kept)


@dataclass(frozen=True, slots=True)
class Slice:
    """Describes what was read for one `ExtractSlice`."""

    batches: tuple[SlicedRecords, ...]
    """Holds the batches in the order of their positions."""
    cursor: Any
    """Says where the next slice begins."""
    end: bool
    """Tells whether no slice follows."""
    unchecked: bool = False
    """Whether the extractor must check the records before they are transformed: look their keys up in the source, or
    run the quality checks."""
    checks: tuple[CheckCount, ...] = ()
    """Holds what the quality checks counted."""
    window: Window | None = None
    """Holds the newest records of an incremental extraction."""
    columns: Columns | None = None
    """Holds the schema of the records that go on, where a contract looks at it."""
    stages: tuple[Stage, ...] = EVERY_STAGE
    """Lists the stages that the batches visit, by their plan."""
    outputs: Mapping[str, dict[str, Any]] | None = None
    """Holds outputs by the ids of their records, which are then not transformed; None where they are."""
    others: int = 0
    """The number of records that were read and are those of another version."""
    known: int = 0
    """The number of messages that were left out, because they were taken before."""


def wanted(request: ExtractSlice, batch_size: int) -> int:
    """Return how many records the slice holds at most."""
    full = request.max_batches * batch_size
    return full if request.limit is None else max(0, min(full, request.limit))


def wanted_bytes(request: ExtractSlice, extract: ExtractConfig) -> int:
    """Return how many bytes the records of the slice have at most, as JSON, unless it is a single one."""
    return min(extract.slice_mb * MIB, request.max_batches * extract.batch_bytes)


def enough(request: ExtractSlice, count: int) -> bool:
    """Tell whether `count` records are all that the run may still extract."""
    return request.limit is not None and count >= request.limit


def cut(
    request: ExtractSlice,
    records: Sequence[SliceRecord],
    *,
    extract: ExtractConfig,
    cursor: Any,
    end: bool,
    on_failure: OnFailure,
    stages: tuple[Stage, ...],
    unchecked: bool = False,
    checks: tuple[CheckCount, ...] = (),
    columns: Columns | None = None,
    window: Window | None = None,
    outputs: Mapping[str, dict[str, Any]] | None = None,
    others: int = 0,
    known: int = 0,
    lanes: Lanes | None = None,
    size: int | None = None,
) -> Slice:
    """Cut the records into batches of `batch_size` records and `batch_mb`, in their order; with `lanes`, into one batch
    for each, so that all records of a key are in one. `others` were read beside them. `size` is how many bytes all that
    was read has as JSON, where the caller knows. Raises `PermanentError` for a record with an error under `abort`."""
    chunks = _in_order(records, extract, size) if lanes is None else _in_lanes(records, lanes)
    return Slice(
        tuple(_batch(chunk, on_failure) for chunk in chunks),
        cursor,
        end=end or enough(request, len(records) + others),
        unchecked=unchecked,
        checks=checks,
        columns=columns,
        window=window,
        stages=stages,
        outputs=outputs,
        others=others,
        known=known,
    )


def _in_order(records: Sequence[SliceRecord], extract: ExtractConfig, size: int | None) -> list[Sequence[SliceRecord]]:
    most = extract.batch_size
    inputs = [each.input for each in records] if size is None or size > extract.batch_bytes else []
    if (bytes_of(inputs) if size is None else size) <= extract.batch_bytes:
        return [records[start : start + most] for start in range(0, len(records), most)]
    return [records[start:end] for start, end in record_bytes.chunks(inputs, most, extract.batch_bytes)]


def _in_lanes(records: Sequence[SliceRecord], lanes: Lanes) -> list[Sequence[SliceRecord]]:
    chunks: list[list[SliceRecord]] = [[] for _ in range(lanes.count)]
    for record, lane in zip(records, lanes.assigned(each.input for each in records), strict=True):
        chunks[lane].append(record)
    return [chunk for chunk in chunks if chunk]


def _batch(chunk: Sequence[SliceRecord], on_failure: OnFailure) -> SlicedRecords:
    records = tuple([each for each in chunk if each.error is None])
    if len(records) == len(chunk):
        return SlicedRecords(records, ())
    return SlicedRecords(
        records,
        tuple(
            kept_for_error(each.id, each.error, on_failure, input=each.input, derived=each.derived)
            for each in chunk
            if each.error is not None
        ),
    )
