"""Makes the messages that are published for a message that could not be read or whose handler raised, before it is
acknowledged."""

from __future__ import annotations

from loom_common import flow
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchInSteps,
    BatchTransformed,
    BudgetSpent,
    CallsPaid,
    CheckDestination,
    CheckSource,
    ExtractSlice,
    FinalizeLoad,
    KeptRecord,
    SplitSource,
    StageDelayed,
    StageFailed,
    TransformedRecord,
)
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.recovery import Retry
from loom_common.errors import BreakerOpen, BudgetExhausted, CheckBroken, LoomError, StagedRowsLost
from loom_common.flow import Exchange, Stage
from loom_common.ports.bus import Delivery, Wire
from loom_common.text import bounded, storable, words_of
from loom_common.worker import router
from loom_common.worker.context import Context

_STAGE_OF: dict[type[Message], Stage] = {
    CheckSource: Stage.EXTRACT,
    CheckDestination: Stage.LOAD,
    SplitSource: Stage.EXTRACT,
    ExtractSlice: Stage.EXTRACT,
    BatchExtracted: Stage.TRANSFORM,
    BatchInSteps: Stage.TRANSFORM,
    BatchTransformed: Stage.EVALUATE,
    BatchEvaluated: Stage.LOAD,
    FinalizeLoad: Stage.LOAD,
}
Batch = BatchExtracted | BatchInSteps | BatchTransformed | BatchEvaluated


def stage_of(message: Message) -> Stage | None:
    """Return the stage that works on this kind of message; None for messages outside the four stages."""
    return _STAGE_OF.get(type(message))


def pipeline_of(message: Message) -> str:
    """Return the pipeline that a work message belongs to."""
    return str(getattr(getattr(message, "header", message), "pipeline", ""))


def again(message: Message, queue: str, step: int, attempt: int) -> Outgoing:
    """Return the message itself, which waits in the retry queue of that step before its next attempt."""
    return Outgoing(flow.Route(Exchange.DIRECT, flow.retry_queue(queue, step)), message, attempt=attempt)


def dead_letter(delivery: Delivery, reason: str, service: str) -> Wire:
    """Return an unreadable delivery as it came, for the queue `loom.dead`, with the reason in a header."""
    headers = {name: value for name, value in delivery.headers.items() if isinstance(value, str | int)}
    told = {
        "loom-dead-reason": bounded(storable(reason)),
        "loom-dead-by": service,
        "loom-exchange": delivery.exchange,
    }
    return Wire.of_delivery(delivery, Exchange.DEAD, {**headers, **told})


def delayed(message: Message, error: Exception, attempt: int, retry: Retry) -> list[Outgoing]:
    """Return the fact that the message waits for a retry, with the reason."""
    stage = stage_of(message)
    if stage is None:
        return []
    fact = StageDelayed(
        run_id=message.correlation_id,
        stage=stage,
        cause=message.message_id,
        reason=words_of(error),
        attempt=attempt,
        delay=retry.delay,
    )
    return [Outgoing(flow.fact("stage", "delayed", pipeline_of(message)), fact, mandatory=False)]


def paused(message: Message, away: BreakerOpen, by: str, number: int) -> list[Outgoing]:
    """Return the fact that the message's run waits for an upstream: the worker `by` tells it this many times for one
    opening of a breaker."""
    stage = stage_of(message)
    if stage is None:
        return []
    fact = StageDelayed(
        run_id=message.correlation_id,
        stage=stage,
        cause=f"{by}/{away.upstream}/{away.opening}",
        reason=away.reason or str(away),
        attempt=number,
        delay=away.probe_in,
        upstream=away.upstream,
    )
    return [Outgoing(flow.fact("stage", "delayed", pipeline_of(message)), fact, mandatory=False)]


def pausing(message: Message, reason: str, seconds: float, cause: str) -> list[Outgoing]:
    """Return the fact that calls made for the message pause for so long. It is no attempt of the message."""
    stage = stage_of(message)
    if stage is None:
        return []
    fact = StageDelayed(
        run_id=message.correlation_id, stage=stage, cause=cause, reason=storable(reason), attempt=0, delay=seconds
    )
    return [Outgoing(flow.fact("stage", "delayed", pipeline_of(message)), fact, mandatory=False)]


def run_failed(message: Message, error: LoomError | str) -> list[Outgoing]:
    """Return the fact that the run cannot go on."""
    stage = stage_of(message)
    if stage is None:
        return []
    epoch = getattr(getattr(message, "header", message), "epoch", 0)
    fact = StageFailed(
        run_id=message.correlation_id,
        epoch=epoch,
        stage=stage,
        reason=str(error),
        check=error.check if isinstance(error, CheckBroken) else None,
        rows_lost=isinstance(error, StagedRowsLost),
    )
    return [Outgoing(flow.fact("stage", "failed", pipeline_of(message)), fact)]


def paid(message: Message, calls: tuple[Calls, ...]) -> list[Outgoing]:
    """Return the fact of what an unfinished batch paid, so that it is accounted for even if the batch fails."""
    stage = stage_of(message)
    if stage is None or not calls or not isinstance(message, Batch):
        return []
    fact = CallsPaid(header=message.header, stage=stage, calls=calls)
    return [Outgoing(flow.fact("batch", "paid", message.header.pipeline), fact)]


def exhausted(message: Message, error: BudgetExhausted) -> list[Outgoing]:
    """Return the fact that the budget does not cover the run's next call. The batch comes again after a resume."""
    stage = stage_of(message)
    if stage is None or not isinstance(message, Batch):
        return []
    header = message.header
    fact = BudgetSpent(
        run_id=header.run_id,
        epoch=header.epoch,
        stage=stage,
        limit=error.limit,
        gone=error.gone,
        lost=error.lost,
        needed=error.worst,
        owed=error.owed,
        until=error.until,
    )
    return [Outgoing(flow.fact("stage", "exhausted", header.pipeline), fact)]


def set_aside(message: Message, error: Exception, code: str, context: Context) -> list[Outgoing]:
    """Set a batch aside whose last attempt failed: its records are kept in quarantine, so that nothing is lost and the
    run goes on.

    A message without records (a slice to read, a load to finalize) has nothing to set aside: the run fails."""
    stage = stage_of(message)
    if stage is None or not isinstance(message, Batch):
        return run_failed(message, words_of(error))
    records = [
        KeptRecord(
            record_id=record.id,
            outcome="quarantined",
            code=code,
            reason=f"{_place_of(message)}{words_of(error)} (after the last attempt)",
            input=record.input,
            output=record.result if isinstance(record, TransformedRecord) else None,
            derived=record.derived,
        )
        for record in message.records
    ]
    so_far = message.so_far if isinstance(message, BatchInSteps) else None
    return router.given_up(message.header, stage, records, context, so_far)


def _place_of(message: Message) -> str:
    """Return the words that name the step whose queue the message came over; none for another message."""
    return f"Step {message.step}: " if isinstance(message, BatchInSteps) and message.step is not None else ""
