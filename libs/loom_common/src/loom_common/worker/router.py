"""Makes the messages of what a handler gives back, and says where they go: one function for each kind of message.

A handler names no route. `flow.py` names them all, and only this module and `forwarding.py`, which makes the message
that takes a batch on, know both a result and its route; what becomes of a message whose handler raised is in
`failure_messages.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loom_common import flow
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchFact,
    BatchHeader,
    BatchInSteps,
    BatchTransformed,
    CallsPaid,
    CheckDestination,
    CheckSource,
    DestinationChecked,
    ExtractSlice,
    FinalizeLoad,
    FindPlace,
    KeptRecord,
    LoadFinalized,
    PlaceFound,
    RecordsKept,
    RecordsLoaded,
    RecordsQuarantined,
    SlicedBatch,
    SliceExtracted,
    SourceSplit,
    SplitSource,
    StepsSoFar,
)
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.tally import Tally
from loom_common.domain.values import ids
from loom_common.flow import Stage
from loom_common.worker.context import Context
from loom_common.worker.forwarding import (
    Forward,
    ends,
    next_header,
    to_evaluate,
    to_extract,
    to_load,
    to_transform,
    with_outputs,
)
from loom_common.worker.slices import CheckedSource, Slice, SlicedRecords
from loom_common.worker.stage_result import (
    Evaluated,
    Extracted,
    HandedOn,
    Loaded,
    StageResult,
    Transformed,
    added,
    counted,
    extracted_records,
    so_far_of,
    tried,
)


def split(request: SplitSource | CheckSource, pieces: Sequence[Piece], _: Context) -> list[Outgoing]:
    """Route the fact that a source is split."""
    fact = SourceSplit(run_id=request.run_id, pipeline=request.pipeline, epoch=request.epoch, pieces=tuple(pieces))
    return [Outgoing(flow.fact("source", "split", request.pipeline), fact)]


def checked_source(request: CheckSource, result: CheckedSource, context: Context) -> list[Outgoing]:
    """Route the fact of what was found of the source, after the one of how it is split: once the last answer is there,
    it is known into how many slices the run begins."""
    pieces = [] if result.pieces is None else split(request, result.pieces, context)
    return [*pieces, Outgoing(flow.fact("source", "checked", request.pipeline), result.fact)]


def placed(request: FindPlace, result: PlaceFound, _: Context) -> list[Outgoing]:
    """Route the fact of what was found where somebody has named a place."""
    return [Outgoing(flow.fact("source", "placed", request.pipeline), result)]


def checked_destination(request: CheckDestination, result: DestinationChecked, _: Context) -> list[Outgoing]:
    """Route the fact of what was found of the destination."""
    return [Outgoing(flow.fact("load", "checked", request.pipeline), result)]


def sliced(request: ExtractSlice, result: Slice, context: Context) -> list[Outgoing]:
    """Route first the fact that lists every batch of the slice and tells where the next one begins, then the batches
    and the records kept back: the next slice is asked for while the batches are published.

    Only the batches in `request.positions` are published, where it names any; all are reported. A batch without a good
    record is not published: the fact ends it."""
    outgoing: list[Outgoing] = []
    reported: list[SlicedBatch] = []
    for position, batch in enumerate(result.batches):
        header = _header(request, position, batch)
        if result.outputs is not None:
            forward = with_outputs(header, batch.records, result)
        elif result.unchecked:
            forward = to_extract(header, extracted_records(batch.records))
        else:
            forward = to_transform(header, batch.records, result.stages)
        reported.append(SlicedBatch(batch_id=header.batch_id, position=position, tally=forward.header.tally))
        if request.positions is None or position in request.positions:
            outgoing += [*forward.outgoing, *_quarantined(batch.kept, Stage.EXTRACT, header, context)]
    fact = SliceExtracted(
        run_id=request.run_id,
        pipeline=request.pipeline,
        epoch=request.epoch,
        partition=request.partition,
        slice=request.slice,
        batches=tuple(reported),
        cursor=result.cursor,
        end=result.end,
        checks=result.checks,
        columns=None if result.columns is None else dict(result.columns),
        window=result.window,
        closed=request.closing and not reported and not result.others,
        others=result.others,
        known=result.known,
    )
    return [Outgoing(flow.fact("slice", Stage.EXTRACT.done, request.pipeline), fact), *outgoing]


def extracted(batch: BatchExtracted, result: Extracted, context: Context) -> list[Outgoing]:
    """Route a batch whose keys were checked, on its way to the next stage that it visits."""
    calls = context.usage.lines()
    forward = to_transform(next_header(batch.header, Stage.EXTRACT, result, calls), result.records, result.stages)
    fact = BatchFact(
        header=forward.header, stage=Stage.EXTRACT, seconds=result.seconds, calls=calls, checks=result.checks
    )
    return _of_batch(forward.outgoing, result.kept, fact, context)


def transformed(
    batch: BatchExtracted | BatchInSteps, result: Transformed | HandedOn, context: Context
) -> list[Outgoing]:
    """Route a transformed batch on its way to the next stage that it visits, or one amid its steps to the queue where
    they go on."""
    calls = context.usage.lines()
    if isinstance(result, HandedOn):
        return _handed_on(batch, result, calls, context)
    result = added(so_far_of(batch), result)
    forward = to_evaluate(next_header(batch.header, Stage.TRANSFORM, result, calls), result.records, result.stages)
    if _tells_nothing(result, forward):
        return list(forward.outgoing)
    fact = BatchFact(
        header=forward.header,
        stage=Stage.TRANSFORM,
        seconds=result.seconds,
        latency=result.latency,
        waited=result.waited,
        calls=calls,
        checks=result.checks,
        columns=None if result.columns is None else dict(result.columns),
        steps=result.steps,
        answered=result.answered,
    )
    return _of_batch(forward.outgoing, result.kept, fact, context)


def evaluated(batch: BatchTransformed, result: Evaluated, context: Context) -> list[Outgoing]:
    """Route an evaluated batch on its way to be loaded."""
    calls = context.usage.lines()
    forward = to_load(next_header(batch.header, Stage.EVALUATE, result, calls), result.records)
    if _tells_nothing(result, forward):
        return list(forward.outgoing)
    fact = BatchFact(
        header=forward.header,
        stage=Stage.EVALUATE,
        seconds=result.seconds,
        evaluations=tuple(result.evaluations),
        calls=calls,
        checks=result.checks,
    )
    return _of_batch(forward.outgoing, result.kept, fact, context)


def loaded(batch: BatchEvaluated, result: Loaded, context: Context) -> list[Outgoing]:
    """Route a loaded batch: its fact, the rows that were refused, and the records that leave the quarantine by it."""
    calls = context.usage.lines()
    header = next_header(batch.header, Stage.LOAD, result, calls)
    fact = BatchFact(
        header=header,
        stage=Stage.LOAD,
        seconds=result.seconds,
        calls=calls,
        rows=tuple(result.rows),
        outputs=tuple(result.outputs),
        checks=result.checks,
        columns=None if result.columns is None else dict(result.columns),
    )
    outgoing = _of_batch((), result.kept, fact, context)
    if not result.resolved:
        return outgoing
    resolved = RecordsLoaded(run_id=header.run_id, batch_id=header.batch_id, record_ids=result.resolved)
    return [Outgoing(flow.loaded_after_all(header.pipeline), resolved), *outgoing]


def finalized(message: FinalizeLoad, result: LoadFinalized, _: Context) -> list[Outgoing]:
    """Route the answer of a load that was finalized."""
    return [Outgoing(flow.fact("load", "finalized", message.pipeline), result)]


def kept(message: RecordsQuarantined, result: RecordsKept, _: Context) -> list[Outgoing]:
    """Route the fact that records are kept."""
    return [Outgoing(flow.fact("records", "kept", message.pipeline), result)]


def nothing(_: Message, __: None, ___: Context) -> list[Outgoing]:
    """Return no message: nothing follows from what was handled."""
    return []


def given_up(
    header: BatchHeader,
    stage: Stage,
    records: Sequence[KeptRecord],
    context: Context,
    so_far: StepsSoFar | None = None,
) -> list[Outgoing]:
    """Route a batch of which `stage` lets no record through, because it could not work on it. `so_far` is what some of
    the stage's steps counted before."""
    calls, result = context.usage.lines(), added(so_far, Transformed(records=(), kept=records))
    after = next_header(header, stage, result if stage is Stage.TRANSFORM else StageResult(kept=records), calls)
    fact = BatchFact(header=after, stage=stage, seconds=result.seconds, calls=calls, steps=result.steps)
    return _of_batch((), result.kept, fact, context)


def _handed_on(
    batch: BatchExtracted | BatchInSteps, result: HandedOn, calls: tuple[Calls, ...], context: Context
) -> list[Outgoing]:
    """Route a batch amid its steps, and the fact of what it has paid so far."""
    header = batch.header
    so_far = counted(added(so_far_of(batch), result.others), calls, context.attempt.number)
    message = BatchInSteps(header=header, step=result.step, taken=result.taken, records=result.records, so_far=so_far)
    back = flow.work(Stage.TRANSFORM, header.pipeline)
    route = back if result.step is None else flow.own_step(result.step, header.pipeline)
    outgoing = [Outgoing(route, message)]
    if calls:
        paid = CallsPaid(header=header, stage=Stage.TRANSFORM, calls=calls)
        outgoing.append(Outgoing(flow.fact("batch", "paid", header.pipeline), paid))
    return outgoing


def _tells_nothing(result: StageResult, forward: Forward) -> bool:
    """Tell whether no fact is published of a batch that goes on: the stage has nothing to do by its plan, and what it
    let through is in the tally that goes along."""
    return result.idle and bool(forward.outgoing)


def _of_batch(
    forward: Sequence[Outgoing], kept: Sequence[KeptRecord], fact: BatchFact, context: Context
) -> list[Outgoing]:
    """Return everything to publish, the batch first. Without records to forward there is no batch: the fact ends it."""
    header, stage = fact.header, fact.stage
    return [
        *forward,
        *_quarantined(kept, stage, header, context),
        Outgoing(flow.fact("batch", stage.done, header.pipeline), fact),
    ]


def _quarantined(kept: Sequence[KeptRecord], stage: Stage, header: BatchHeader, context: Context) -> Iterator[Outgoing]:
    if not kept:
        return
    message = RecordsQuarantined(
        run_id=header.run_id,
        pipeline=header.pipeline,
        batch_id=header.batch_id,
        stage=stage,
        records=tuple(tried(kept, context.attempt.number)),
    )
    yield Outgoing(flow.quarantine(stage, header.pipeline), message)


def _header(request: ExtractSlice, position: int, batch: SlicedRecords) -> BatchHeader:
    of_groups = request.piece is not None and request.piece.group is not None
    entered = {"derived" if of_groups else "extracted": batch.extracted}
    return BatchHeader(
        run_id=request.run_id,
        pipeline=request.pipeline,
        plan=request.plan,
        epoch=request.epoch,
        batch_id=ids.batch_id(request.run_id, request.partition, request.slice, position),
        partition=request.partition,
        slice=request.slice,
        position=position,
        tally=Tally(**entered, **ends(batch.kept)),
        budget=request.budget,
    )
