"""Implements the worker of one queue. It takes each message through these steps: decode, compare its epoch, handle,
publish what follows with confirms, acknowledge.

A handler is a function of a message and never sees the broker. `router.py` makes the messages that follow from its
result, and `failure_messages.py` those that follow from what it raises. A message is acknowledged only after the broker
has confirmed everything that follows from it. After a crash the broker delivers the message again, and what follows is
published again under the same ids."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any
from uuid import uuid4

import structlog
from cachetools import LRUCache

from loom_common.contracts.encoding.codec import decode, encode, epoch_of
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import PrefetchLimit
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.recovery import decide, delay_within
from loom_common.errors import (
    AnswersPending,
    BreakerOpen,
    BudgetExhausted,
    DependencyUnavailable,
    LoomError,
    NeverReached,
    PermanentError,
    TransientError,
    UnreadableMessage,
    WorkerWornOut,
)
from loom_common.ports.bus import Bus, Delivery, Subscription, Wire
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.tracing import Attributes, tracer
from loom_common.resilience.breaker_pause import TELL_EVERY_SECONDS, BreakerPause
from loom_common.text import named, words_of
from loom_common.worker import failure_messages
from loom_common.worker.batch_progress import BatchProgress
from loom_common.worker.consumer_spec import Carrier, ConsumerSpec, GivenUp
from loom_common.worker.context import Context, Progress
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.in_flight import InFlightMessage, InFlightMessages
from loom_common.worker.stats import ConsumerStats, MessageOutcome
from loom_common.worker.subscriptions import Subscriptions
from loom_common.worker.usage import Usage

log = structlog.get_logger()

_SETTLE_SECONDS = 60.0
"""How long a batch that is given up waits for its model calls in flight, so that their cost is reported."""


class Worker:
    """Consumes the queue of a `ConsumerSpec` until it is asked to stop, and then finishes the messages in flight."""

    def __init__(
        self,
        service: str,
        consumer: ConsumerSpec,
        bus: Bus,
        guard: EpochGuard,
        drain_seconds: float = 30.0,
        stats: ConsumerStats | None = None,
        clock: Clock | None = None,
        *,
        replaceable: bool = True,
        carrier: Carrier | None = None,
    ) -> None:
        """`replaceable` says whether a supervisor starts this process again after it has ended with `WorkerWornOut`.
        `carrier` calls the handlers of the four stages."""
        self._service = service
        self._consumer = consumer
        self._bus = bus
        self._guard = guard
        self._drain_seconds = drain_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._stats = stats or ConsumerStats(consumer.queue)
        self._stats.in_flight = self._tasks
        self._broken: asyncio.Future[None] | None = None
        self._in_flight = InFlightMessages()
        self._subscriptions = Subscriptions(bus, consumer.queue, consumer.prefetch, self._take, self._in_flight)
        self._pause = BreakerPause()
        self._progress_reports = BatchProgress(service, f"{consumer.queue}/{uuid4().hex[:12]}", bus)
        self._clock = clock or SystemClock()
        self._replaceable = replaceable
        self._carrier = carrier
        self._told_pending: LRUCache[str, float] = LRUCache(1000)
        """When a run was told last that answers of a batch are awaited, in seconds of the clock."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain. Raises what ends the worker and not only a message: `TopologyMissing`
        where the broker lacks the queue, and `WorkerWornOut`."""
        self._broken = asyncio.get_running_loop().create_future()
        consuming = asyncio.create_task(self._subscriptions.run())
        reporting = asyncio.create_task(self._progress_reports.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            waited: set[asyncio.Future[Any]] = {consuming, stopping, self._broken}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            self._pause.end()
            await self._subscriptions.stop()
            await self._drain()
        finally:
            stopping.cancel()
            consuming.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            reporting.cancel()
            await asyncio.gather(consuming, stopping, reporting, return_exceptions=True)
            await self._subscriptions.close()
        for ended in (self._broken, consuming):
            if ended.done() and not ended.cancelled():
                ended.result()

    async def heed(self, limit: PrefetchLimit) -> None:
        """Apply a prefetch limit of the coordinator. A limit of another queue changes nothing."""
        if limit.queue == self._consumer.queue:
            await self._subscriptions.resize(limit.prefetch)

    async def _take(self, subscription: Subscription) -> None:
        """Handle what a subscription delivers until it is stopped. Returns when every message from it is settled."""
        mine: set[asyncio.Task[None]] = set()
        async for delivery in subscription:
            await self._pause.over()
            task = asyncio.create_task(self._settle(delivery))
            for tasks, settled in ((mine, mine.discard), (self._tasks, self._settled)):
                tasks.add(task)
                task.add_done_callback(settled)
        if mine:
            await asyncio.wait(mine)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and self._broken and not self._broken.done():
            self._broken.set_exception(error)

    async def _drain(self) -> None:
        if self._tasks:
            log.info("draining", queue=self._consumer.queue, in_flight=len(self._tasks), deadline_s=self._drain_seconds)
            await asyncio.wait(self._tasks, timeout=self._drain_seconds)

    async def _settle(self, delivery: Delivery) -> None:
        """Publish what follows from a delivery, then acknowledge it. Where the broker is away the delivery stays
        unacknowledged, and the broker delivers it again."""
        with self._in_flight.one() as in_flight, contextlib.suppress(DependencyUnavailable):
            await self._publish_consequences(delivery, in_flight)
            await delivery.ack()

    async def _publish_consequences(self, delivery: Delivery, in_flight: InFlightMessage) -> None:
        try:
            message = decode(delivery, *self._consumer.kinds)
        except UnreadableMessage as error:
            log.error("unreadable message set aside", queue=self._consumer.queue, reason=str(error))
            self._stats.count(MessageOutcome.FAILED)
            await self._bus.publish([failure_messages.dead_letter(delivery, str(error), self._service)])
            return
        if self._guard.stale(message):
            self._stats.count(MessageOutcome.STALE)
            return
        run_id = message.correlation_id
        structlog.contextvars.bind_contextvars(run_id=run_id, **_batch_of(message))  # they end with the task
        traced = partial(self._traced, message, delivery)
        with tracer().consumed(f"process {self._consumer.queue}", run_id, delivery.headers, traced):
            await self._publish(await self._outcome(message, delivery, in_flight))

    def _traced(self, message: Message, delivery: Delivery) -> Attributes:
        """Return what a trace says of the message: where it came from and what it is about, and none of its data."""
        return {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._consumer.queue,
            "messaging.message.id": message.message_id,
            "loom.run_id": message.correlation_id,
            "loom.message": message.type,
            "loom.records": _records_of(message),
            "loom.attempt": attempt_of(delivery),
            **{f"loom.{name}": value for name, value in _batch_of(message).items()},
        }

    async def _outcome(self, message: Message, delivery: Delivery, in_flight: InFlightMessage) -> Sequence[Wire]:
        """Return the encoded messages that follow from the message."""
        attempt = _attempt(delivery)
        context: Context | None = None
        while not self._guard.stale(message):
            progress = Progress(_records_of(message), in_flight)
            context = Context(attempt, Usage(_budget_of(message), epoch_of(message) or 0), progress, self._clock)
            try:
                wires = self._wires(await self._handle(message, context, in_flight))
            except BudgetExhausted as spent:
                return self._wires(self._unpaid(message, spent, await self._settle_costs(message, context)))
            except AnswersPending as pending:
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._awaiting_answers(message, pending, delivery)])
            except (NeverReached, PermanentError) as error:
                return self._wires([*await self._settle_costs(message, context), *self._failed(message, error)])
            except BreakerOpen as away:
                if not await self._wait_for_upstream(message, away):
                    return self._wires(
                        [*await self._settle_costs(message, context), *self._parked(message, away, delivery)]
                    )
                continue
            except WorkerWornOut as error:
                if self._replaceable:
                    raise
                reason = f"{error} Then: loom resume {message.correlation_id}."
                return self._wires([*await self._settle_costs(message, context), *self._failed(message, reason)])
            except Exception as error:  # noqa: BLE001 - a message is settled here, whatever its handler raised
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._later_or_aside(message, error, delivery, context)])
            self._pause.handled()
            self._stats.count(MessageOutcome.HANDLED)
            return wires
        self._stats.count(MessageOutcome.STALE)
        return () if context is None else self._wires(await self._settle_costs(message, context))

    async def _handle(self, message: Message, context: Context, in_flight: InFlightMessage) -> Sequence[Outgoing]:
        """Return what follows from the message. Raises what its handler raises, and `BudgetExhausted` where a model
        call was not made because the budget does not cover it, even if the handler went on without its answer."""
        usage = context.usage
        try:
            with (
                self._stats.timed(in_flight, message.correlation_id),
                self._progress_reports.of(message, context.progress),
            ):
                if self._carrier is None or failure_messages.stage_of(message) is None:
                    outgoing = await self._consumer.handle(message, context)
                else:
                    outgoing = await self._carrier.carry(message, context, self._consumer.handle)
        except (PermanentError, WorkerWornOut) as error:
            tracer().failed(error)
            raise
        except Exception as error:
            tracer().failed(error)
            if usage.exhausted is not None:
                raise usage.exhausted from None
            raise
        if usage.exhausted is not None:
            raise usage.exhausted
        return outgoing

    async def _settle_costs(self, message: Message, context: Context) -> list[Outgoing]:
        """Settle what the batch paid so far, and return the fact of it. It is published now, because the batch may
        never be handled again."""
        await context.usage.settled(_SETTLE_SECONDS)
        return failure_messages.paid(message, context.usage.lines())

    def _unpaid(self, message: Message, spent: BudgetExhausted, paid: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Return the facts that pause the run. The coordinator asks for the batch again when the run is resumed."""
        log.warning("budget exhausted", limit_usd=spent.limit, gone_usd=spent.gone, reported=True)
        self._stats.count(MessageOutcome.STALE)
        return [*paid, *failure_messages.exhausted(message, spent)]

    def _failed(self, message: Message, error: LoomError | str) -> Sequence[Outgoing]:
        log.error("run cannot go on", error=str(error), reported=True)
        self._stats.count(MessageOutcome.FAILED)
        return failure_messages.run_failed(message, error)

    async def _wait_for_upstream(self, message: Message, away: BreakerOpen) -> bool:
        """Wait, with the message unacknowledged, until its upstream's next probe. Return whether it may be handled
        again; False where it must wait in a retry queue instead."""
        if (number := self._pause.notice(message.correlation_id, away)) is not None:
            await self._publish(failure_messages.paused(message, away, by=self._pause.name, number=number))
        return await self._pause.sit_out(away, len(self._tasks))

    def _parked(self, message: Message, away: BreakerOpen, delivery: Delivery) -> Sequence[Outgoing]:
        """Return the message for a retry queue, so that others are handled. Its attempt number stays the same, because
        it is its upstream that failed."""
        self._stats.count(MessageOutcome.RETRIED)
        retry = delay_within(away.probe_in)
        return [failure_messages.again(message, self._consumer.queue, retry.step, attempt_of(delivery))]

    def _awaiting_answers(self, message: Message, pending: AnswersPending, delivery: Delivery) -> Sequence[Outgoing]:
        """Return the message for a retry queue, because a provider's batch answers later, and the fact that says so.
        Its attempt number stays the same."""
        self._stats.count(MessageOutcome.RETRIED)
        retry = delay_within(pending.retry_in)
        parked = failure_messages.again(message, self._consumer.queue, retry.step, attempt_of(delivery))
        now, run_id = self._clock.monotonic(), message.correlation_id
        if now - self._told_pending.get(run_id, float("-inf")) < TELL_EVERY_SECONDS:
            return [parked]
        self._told_pending[run_id] = now
        cause = f"{self._pause.name}/{run_id}/{now:.3f}"
        return [parked, *failure_messages.pausing(message, str(pending), retry.delay, cause)]

    def _later_or_aside(
        self, message: Message, error: Exception, delivery: Delivery, context: Context
    ) -> Sequence[Outgoing | Wire]:
        attempt = context.attempt.number
        retry = decide(error, attempt, lasting=failure_messages.stage_of(message) is None)
        if isinstance(error, GivenUp):
            attempt, error, retry = error.attempts, error.error, None
            context = replace(context, attempt=Attempt(attempt, last=True))
        self._stats.count(MessageOutcome.RETRIED if retry else MessageOutcome.FAILED)
        expected = isinstance(error, LoomError)
        log.warning(
            "attempt failed",
            attempt=attempt,
            retry_in_s=retry.delay if retry else None,
            error=words_of(error) if expected else named(error),
            exc_info=not expected,
        )
        if retry is None and failure_messages.stage_of(message) is None:
            return [failure_messages.dead_letter(delivery, named(error), self._service)]
        if retry is None:
            code = "unavailable" if expected else "internal_error"
            return failure_messages.set_aside(message, error, code, context)
        again = failure_messages.again(message, self._consumer.queue, retry.step, attempt + 1)
        return [again, *failure_messages.delayed(message, error, attempt, retry)]

    def _wires(self, outgoing: Sequence[Outgoing | Wire]) -> list[Wire]:
        hands_over = self._bus.hands_over
        return [
            item if isinstance(item, Wire) else encode(item, self._service, hands_over=hands_over) for item in outgoing
        ]

    async def _publish(self, outgoing: Sequence[Outgoing | Wire]) -> None:
        if outgoing:
            await self._bus.publish(self._wires(outgoing))


def attempt_of(delivery: Delivery) -> int:
    """Return which attempt at its message this delivery is (1-based), by the header `loom-attempt`."""
    value = delivery.headers.get("loom-attempt", 1)
    return value if isinstance(value, int) else 1


def _attempt(delivery: Delivery) -> Attempt:
    number = attempt_of(delivery)
    return Attempt(number, last=_is_last(number), redelivered=delivery.deliveries)


@lru_cache(100)
def _is_last(attempt: int) -> bool:
    return decide(TransientError(""), attempt) is None


def _records_of(message: Message) -> int:
    return len(message.records) if isinstance(message, failure_messages.Batch) else 1


def _budget_of(message: Message) -> Budget | None:
    header = getattr(message, "header", None)
    return None if header is None else header.budget


def _batch_of(message: Message) -> dict[str, str]:
    header = getattr(message, "header", None)
    return {"batch_id": header.batch_id, "pipeline": header.pipeline} if header is not None else {}
