"""Works on one queue: decode -> guard -> handle -> route -> publish confirmed -> acknowledge.

A handler is a function of a message and never sees the broker. Its result is routed by `router.py`; what it raises, by
`failure_messages.py`. Nothing is acknowledged before everything that follows from it is confirmed; a crash anywhere
means redelivery, and redelivery republishes the same ids."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import structlog

from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import PrefetchLimit
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.recovery import decide, rung_until
from loom_common.errors import (
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
from loom_common.flow import Exchange
from loom_common.ports.bus import Bus, Delivery, Subscription, Wire
from loom_common.ports.clock import Clock, SystemClock
from loom_common.resilience.breaker_pause import BreakerPause
from loom_common.text import bounded, named, storable, words_of
from loom_common.worker import failure_messages
from loom_common.worker.batch_progress import InHand
from loom_common.worker.consumer_spec import ConsumerSpec
from loom_common.worker.context import Context, Progress
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.in_flight import InFlightMessage, InFlightMessages
from loom_common.worker.stats import ConsumerStats, MessageOutcome
from loom_common.worker.subscriptions import Subscriptions
from loom_common.worker.usage import Usage

log = structlog.get_logger()

_PAYING_SECONDS = 60.0
"""How long a batch that is given up waits for the calls it has begun, so that what they cost is reported."""


class Worker:
    """Carries out a `ConsumerSpec` until told to stop, then finishes what it has in hand."""

    def __init__(
        self,
        service: str,
        duty: ConsumerSpec,
        bus: Bus,
        guard: EpochGuard,
        drain_seconds: float = 30.0,
        vitals: ConsumerStats | None = None,
        clock: Clock | None = None,
        *,
        replaceable: bool = True,
    ) -> None:
        """`replaceable`: whether somebody starts this process again when it ends, so that a worn-out one may."""
        self._service = service
        self._duty = duty
        self._bus = bus
        self._guard = guard
        self._drain_seconds = drain_seconds
        self._in_hand: set[asyncio.Task[None]] = set()
        self._vitals = vitals or ConsumerStats(duty.queue)
        self._vitals.in_hand = self._in_hand
        self._broken: asyncio.Future[None] | None = None
        self._in_flight = InFlightMessages()
        self._subscriptions = Subscriptions(bus, duty.queue, duty.prefetch, self._take, self._in_flight)
        self._pause = BreakerPause()
        self._under_way = InHand(service, f"{duty.queue}/{uuid4().hex[:12]}", bus)
        self._clock = clock or SystemClock()
        self._replaceable = replaceable

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain. Raises what no verdict covers, e.g. `TopologyMissing`."""
        self._broken = asyncio.get_running_loop().create_future()
        taking = asyncio.create_task(self._subscriptions.run())
        telling = asyncio.create_task(self._under_way.tell())
        stopping = asyncio.create_task(stop.wait())
        try:
            waited: set[asyncio.Future[Any]] = {taking, stopping, self._broken}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            self._pause.end()
            await self._subscriptions.stop()
            await self._drain()
        finally:
            stopping.cancel()
            taking.cancel()
            for task in self._in_hand:
                task.cancel()
            await asyncio.gather(*self._in_hand, return_exceptions=True)
            telling.cancel()
            await asyncio.gather(taking, stopping, telling, return_exceptions=True)
            await self._subscriptions.close()
        for ended in (self._broken, taking):
            if ended.done() and not ended.cancelled():
                ended.result()

    async def heed(self, limit: PrefetchLimit) -> None:
        """Hold at most as many messages as the coordinator says, where it speaks of this worker's queue."""
        if limit.queue == self._duty.queue:
            await self._subscriptions.resize(limit.prefetch)

    async def _take(self, subscription: Subscription) -> None:
        """Until it is stopped; returns when all that came from it is settled."""
        mine: set[asyncio.Task[None]] = set()
        async for delivery in subscription:
            await self._pause.over()
            task = asyncio.create_task(self._settle(delivery))
            for tasks, settled in ((mine, mine.discard), (self._in_hand, self._settled)):
                tasks.add(task)
                task.add_done_callback(settled)
        if mine:
            await asyncio.wait(mine)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        if not task.cancelled() and (error := task.exception()) and self._broken and not self._broken.done():
            self._broken.set_exception(error)

    async def _drain(self) -> None:
        if self._in_hand:
            log.info("draining", queue=self._duty.queue, in_hand=len(self._in_hand), deadline_s=self._drain_seconds)
            await asyncio.wait(self._in_hand, timeout=self._drain_seconds)

    async def _settle(self, delivery: Delivery) -> None:
        """Publish what follows from a delivery, then acknowledge it. While the broker is away the delivery stays
        unacknowledged, and comes again when the broker does."""
        with self._in_flight.one() as in_flight, contextlib.suppress(DependencyUnavailable):
            await self._publish_consequences(delivery, in_flight)
            await delivery.ack()

    async def _publish_consequences(self, delivery: Delivery, in_flight: InFlightMessage) -> None:
        try:
            message = decode(delivery, *self._duty.kinds)
        except UnreadableMessage as error:
            log.error("unreadable message set aside", queue=self._duty.queue, reason=str(error))
            self._vitals.count(MessageOutcome.FAILED)
            await self._bus.publish([dead(delivery, str(error), self._service)])
            return
        if self._guard.stale(message):
            self._vitals.count(MessageOutcome.STALE)
            return
        with structlog.contextvars.bound_contextvars(run_id=message.correlation_id, **_batch_of(message)):
            await self._publish(await self._outcome(message, delivery, in_flight))

    async def _outcome(self, message: Message, delivery: Delivery, in_flight: InFlightMessage) -> Sequence[Wire]:
        """What follows from the message, ready to be published."""
        attempt = _attempt(delivery)
        while not self._guard.stale(message):
            progress = Progress(_records_of(message), in_flight)
            context = Context(attempt, Usage(_budget_of(message)), progress, self._clock)
            try:
                wires = self._wires(await self._handled(message, context, in_flight))
            except BudgetExhausted as spent:
                return self._wires(self._unpaid(message, spent, await self._paid(message, context)))
            except NeverReached as nowhere:
                return self._wires([*await self._paid(message, context), *self._failed(message, str(nowhere))])
            except BreakerOpen as away:
                if not await self._waited(message, away):
                    return self._wires([*await self._paid(message, context), *self._parked(message, away, delivery)])
                continue
            except WorkerWornOut as error:
                if self._replaceable:
                    raise
                return self._wires(self._failed(message, f"{error} Then: loom resume {message.correlation_id}."))
            except PermanentError as error:
                return self._wires([*await self._paid(message, context), *self._failed(message, str(error))])
            except Exception as error:  # noqa: BLE001 - a message is settled here, whatever its handler raised
                paid = await self._paid(message, context)
                return self._wires([*paid, *self._later_or_aside(message, error, delivery, context)])
            self._pause.handled()
            self._vitals.count(MessageOutcome.HANDLED)
            return wires
        self._vitals.count(MessageOutcome.STALE)
        return ()

    async def _handled(self, message: Message, context: Context, in_flight: InFlightMessage) -> Sequence[Outgoing]:
        """What follows from the message. Raises what its handler raises; and `BudgetExhausted` where a call was not
        made for want of money, whatever the handler made of that."""
        bill = context.usage
        try:
            with self._vitals.timed(in_flight), self._under_way.one(message, context.progress):
                outgoing = await self._duty.handle(message, context)
        except (PermanentError, WorkerWornOut):
            raise
        except Exception:
            if bill.exhausted is not None:
                raise bill.exhausted from None
            raise
        if bill.exhausted is not None:
            raise bill.exhausted
        return outgoing

    async def _paid(self, message: Message, context: Context) -> list[Outgoing]:
        """What the batch took so far. It is reported at once, because nobody knows whether the batch comes again."""
        await context.usage.settled(_PAYING_SECONDS)
        return failure_messages.paid(message, context.usage.lines())

    def _unpaid(self, message: Message, spent: BudgetExhausted, paid: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The batch is left as it is: its run pauses, and asks for it again when it is resumed."""
        log.warning("budget exhausted", limit_usd=spent.limit, gone_usd=spent.gone, reported=True)
        self._vitals.count(MessageOutcome.STALE)
        return [*paid, *failure_messages.exhausted(message, spent)]

    def _failed(self, message: Message, reason: str) -> Sequence[Outgoing]:
        log.error("run cannot go on", error=reason, reported=True)
        self._vitals.count(MessageOutcome.FAILED)
        return failure_messages.run_failed(message, reason)

    async def _waited(self, message: Message, away: BreakerOpen) -> bool:
        """Whether the message may be handled again: it waited in hand until its upstream's next probe."""
        if self._pause.first_notice(message.correlation_id, away):
            await self._publish(failure_messages.paused(message, away, by=self._pause.name))
        return await self._pause.sit_out(away, len(self._in_hand))

    def _parked(self, message: Message, away: BreakerOpen, delivery: Delivery) -> Sequence[Outgoing]:
        """Out of the way of messages that get through. Its upstream's trouble is no failed attempt of its own."""
        self._vitals.count(MessageOutcome.RETRIED)
        rung = rung_until(away.probe_in)
        return [failure_messages.again(message, self._duty.queue, rung.step, attempt_of(delivery))]

    def _later_or_aside(
        self, message: Message, error: Exception, delivery: Delivery, context: Context
    ) -> Sequence[Outgoing | Wire]:
        attempt = attempt_of(delivery)
        retry = decide(error, attempt, lasting=failure_messages.stage_of(message) is None)
        self._vitals.count(MessageOutcome.RETRIED if retry else MessageOutcome.FAILED)
        expected = isinstance(error, LoomError)
        log.warning(
            "attempt failed",
            attempt=attempt,
            retry_in_s=retry.delay if retry else None,
            error=words_of(error) if expected else named(error),
            exc_info=not expected,
        )
        if retry is None and failure_messages.stage_of(message) is None:
            return [dead(delivery, named(error), self._service)]
        if retry is None:
            code = "unavailable" if expected else "internal_error"
            return failure_messages.set_aside(message, error, code, context)
        again = failure_messages.again(message, self._duty.queue, retry.step, attempt + 1)
        return [again, *failure_messages.delayed(message, error, attempt, retry)]

    def _wires(self, outgoing: Sequence[Outgoing | Wire]) -> list[Wire]:
        return [item if isinstance(item, Wire) else encode(item, self._service) for item in outgoing]

    async def _publish(self, outgoing: Sequence[Outgoing | Wire]) -> None:
        if outgoing:
            await self._bus.publish(self._wires(outgoing))


def attempt_of(delivery: Delivery) -> int:
    """Which attempt this delivery is, 1-based, by the `loom-attempt` header."""
    value = delivery.headers.get("loom-attempt", 1)
    return value if isinstance(value, int) else 1


def _attempt(delivery: Delivery) -> Attempt:
    number = attempt_of(delivery)
    last = decide(TransientError(""), number) is None
    return Attempt(number, last=last, redelivered=delivery.deliveries)


def dead(delivery: Delivery, reason: str, service: str) -> Wire:
    """An unreadable delivery on its way to `loom.dead`, as it came, with the reason beside it."""
    headers = {name: value for name, value in delivery.headers.items() if isinstance(value, str | int)}
    return Wire(
        exchange=Exchange.DEAD,
        routing_key=delivery.routing_key,
        body=delivery.body,
        type=delivery.type or "",
        message_id=delivery.message_id or "",
        correlation_id=delivery.correlation_id or "",
        content_encoding=delivery.content_encoding,
        headers={
            **headers,
            "loom-dead-reason": bounded(storable(reason)),
            "loom-dead-by": service,
            "loom-exchange": delivery.exchange,
        },
    )


def _records_of(message: Message) -> int:
    return len(message.records) if isinstance(message, failure_messages.Batch) else 1


def _budget_of(message: Message) -> Budget | None:
    header = getattr(message, "header", None)
    return None if header is None else header.budget


def _batch_of(message: Message) -> dict[str, str]:
    header = getattr(message, "header", None)
    return {"batch_id": header.batch_id, "pipeline": header.pipeline} if header is not None else {}
