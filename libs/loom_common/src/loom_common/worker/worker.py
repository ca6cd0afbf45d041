"""Implements the worker of one queue. It takes each message through these steps: decode, compare its epoch, handle,
publish what follows with confirms, acknowledge.

A handler is a function of a message and never sees the broker. `router.py` makes the messages that follow from its
result, and `recovery.py` those that follow from what it raises. A message is acknowledged only after the broker
has confirmed everything that follows from it. After a crash the broker delivers the message again, and what follows is
published again under the same ids."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import PrefetchLimit
from loom_common.errors import (
    AnswersPending,
    BreakerOpen,
    BudgetExhausted,
    DependencyUnavailable,
    NeverReached,
    PermanentError,
    UnreadableMessage,
    WorkerWornOut,
)
from loom_common.logs.logger import bind, log
from loom_common.ports.bus import Bus, Delivery, Subscription, Wire
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.tracing import tracer
from loom_common.resilience.breaker_pause import BreakerPause
from loom_common.worker import delivered, failure_messages
from loom_common.worker.batch_progress import BatchProgress
from loom_common.worker.consumer_spec import Carrier, ConsumerSpec
from loom_common.worker.consuming.in_flight import InFlightMessage, InFlightMessages
from loom_common.worker.consuming.publishing import Publishing
from loom_common.worker.consuming.stats import ConsumerStats, MessageOutcome
from loom_common.worker.consuming.subscriptions import Subscriptions
from loom_common.worker.context import Context, Progress
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.recovery import Recovery

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
        self._recovery = Recovery(service, consumer.queue, self._stats, self._clock, self._pause.name)

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
            if self._guard.stale(message):
                self._stats.count(MessageOutcome.STALE)
                return
            run_id = message.correlation_id
            bind(run_id=run_id, **delivered.batch_of(message))  # they end with the task
            traced = partial(delivered.attributes, self._consumer.queue, message, delivery)
            with tracer().consumed(f"process {self._consumer.queue}", run_id, delivery.headers, traced):
                publishing = Publishing(self._bus)
                try:
                    await self._publish(await self._outcome(message, delivery, in_flight, publishing))
                    await publishing.confirmed()
                finally:
                    await publishing.end()
        except UnreadableMessage as error:
            log.error("unreadable message set aside", queue=self._consumer.queue, reason=str(error))
            self._stats.count(MessageOutcome.FAILED)
            await self._bus.publish([failure_messages.dead_letter(delivery, str(error), self._service)])

    async def _outcome(
        self, message: Message, delivery: Delivery, in_flight: InFlightMessage, publishing: Publishing
    ) -> Sequence[Wire]:
        """Return the encoded messages that follow from the message; of many the last ones, while the others are already
        `publishing`. Raises `UnreadableMessage` where its records are not what they should be, which is seen when they
        are read."""
        attempt = delivered.attempt_of(delivery)
        context: Context | None = None
        while not self._guard.stale(message):
            progress = Progress(delivered.records_of(message), in_flight)
            context = Context(attempt, delivered.usage_of(message), progress, self._clock)
            try:
                wires = await publishing.encoded(await self._handle(message, context, in_flight), self._wires)
            except BudgetExhausted as spent:
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._recovery.unpaid(message, spent)])
            except AnswersPending as pending:
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._recovery.awaiting_answers(message, pending, delivery)])
            except (NeverReached, PermanentError) as error:
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._recovery.failed(message, error)])
            except BreakerOpen as away:
                if not await self._wait_for_upstream(message, away):
                    paid = await self._settle_costs(message, context)
                    return self._wires([*paid, *self._recovery.parked(message, away, delivery)])
                continue
            except WorkerWornOut as error:
                if self._replaceable:
                    raise
                reason = f"{error} Then: loom resume {message.correlation_id}."
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._recovery.failed(message, reason)])
            except Exception as error:  # noqa: BLE001 - a message is settled here, whatever its handler raised
                paid = await self._settle_costs(message, context)
                return self._wires([*paid, *self._recovery.later_or_aside(message, error, delivery, context)])
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

    async def _wait_for_upstream(self, message: Message, away: BreakerOpen) -> bool:
        """Wait, with the message unacknowledged, until its upstream's next probe. Return whether it may be handled
        again; False where it must wait in a retry queue instead."""
        if (number := self._pause.notice(message.correlation_id, away)) is not None:
            await self._publish(failure_messages.paused(message, away, by=self._pause.name, number=number))
        return await self._pause.sit_out(away, len(self._tasks))

    def _wires(self, outgoing: Sequence[Outgoing | Wire]) -> list[Wire]:
        hands_over = self._bus.hands_over
        return [
            item if isinstance(item, Wire) else encode(item, self._service, hands_over=hands_over) for item in outgoing
        ]

    async def _publish(self, outgoing: Sequence[Outgoing | Wire]) -> None:
        if outgoing:
            await self._bus.publish(self._wires(outgoing))
