"""From the records of a slice to its messages: one way for a source, and for the replay of quarantined records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    BatchExtracted,
    BatchHeader,
    ExtractedRecord,
    ExtractSlice,
    SlicedBatch,
    SliceExtracted,
)
from loom_common.domain.definition.failing import OnFailure
from loom_common.domain.run.tally import Tally
from loom_common.domain.values import ids
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.worker.context import Context
from loom_common.worker.stage_result import StageResult, kept_for_error, quarantined


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """A record as it enters a run. With an `error` it ends where it begins: in quarantine."""

    id: str
    input: dict[str, Any]
    error: RecordError | None = None


def wanted(request: ExtractSlice, batch_size: int) -> int:
    """How many records the slice holds at most."""
    full = request.max_batches * batch_size
    return full if request.limit is None else max(0, min(full, request.limit))


def enough(request: ExtractSlice, count: int) -> bool:
    """Whether `count` records are all that the run may still extract."""
    return request.limit is not None and count >= request.limit


def slice_messages(
    request: ExtractSlice,
    records: Sequence[SliceRecord],
    context: Context,
    *,
    batch_size: int,
    cursor: Any,
    end: bool,
    on_failure: OnFailure,
    to: Stage = Stage.TRANSFORM,
) -> list[Outgoing]:
    """The slice's batches, cut by position, with the records kept back, and last the fact that lists every batch.

    Only the batches in `request.positions` are published, where it names any; all are reported. A batch without a
    good record is not published: the fact ends it. `to` is the stage that takes them: `extract` checks their keys
    against the source first. Raises `PermanentError` for a bad record under `abort`."""
    outgoing: list[Outgoing] = []
    sliced: list[SlicedBatch] = []
    for position, start in enumerate(range(0, len(records), batch_size)):
        chunk = records[start : start + batch_size]
        result = _result(request, position, chunk, on_failure, context)
        header = result.next_header
        sliced.append(SlicedBatch(batch_id=header.batch_id, position=position, tally=header.tally))
        if request.positions is None or position in request.positions:
            outgoing += _published(result, header, chunk, to)
    fact = SliceExtracted(
        run_id=request.run_id,
        pipeline=request.pipeline,
        epoch=request.epoch,
        partition=request.partition,
        slice=request.slice,
        batches=tuple(sliced),
        cursor=cursor,
        end=end or enough(request, len(records)),
    )
    return [*outgoing, Outgoing(flow.fact("slice", Stage.EXTRACT.done, request.pipeline), fact)]


def _result(
    request: ExtractSlice, position: int, chunk: Sequence[SliceRecord], on_failure: OnFailure, context: Context
) -> StageResult:
    header = BatchHeader(
        run_id=request.run_id,
        pipeline=request.pipeline,
        plan=request.plan,
        epoch=request.epoch,
        batch_id=ids.batch_id(request.run_id, request.partition, request.slice, position),
        partition=request.partition,
        slice=request.slice,
        position=position,
        tally=Tally(extracted=len(chunk)),
        budget=request.budget,
    )
    kept = [
        kept_for_error(record.id, record.error, on_failure, input=record.input)
        for record in chunk
        if record.error is not None
    ]
    return StageResult(header, Stage.EXTRACT, context, kept=kept)


def _published(result: StageResult, header: BatchHeader, chunk: Sequence[SliceRecord], to: Stage) -> list[Outgoing]:
    outgoing: list[Outgoing] = []
    good = tuple(ExtractedRecord(id=record.id, input=record.input) for record in chunk if record.error is None)
    if good:
        batch = BatchExtracted(header=header, records=good)
        outgoing.append(Outgoing(flow.work(to, header.pipeline), batch))
    if result.kept:
        kept = quarantined(header, Stage.EXTRACT, result.kept, result.context.attempt.number)
        outgoing.append(Outgoing(flow.quarantine(Stage.EXTRACT, header.pipeline), kept))
    return outgoing
