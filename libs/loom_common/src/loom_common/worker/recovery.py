"""Makes what follows from a message whose handler raised: the same message later, or the fact of how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cachetools import LRUCache

from loom_common.contracts.envelope import Message, Outgoing
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.recovery import decide, delay_within
from loom_common.errors import AnswersPending, BreakerOpen, BudgetExhausted, LoomError, UnreadableMessage
from loom_common.logs.logger import log
from loom_common.ports.bus import Delivery, Wire
from loom_common.ports.clock import Clock
from loom_common.resilience.breaker_pause import TELL_EVERY_SECONDS
from loom_common.text import named, words_of
from loom_common.worker import delivered, failure_messages
from loom_common.worker.consumer_spec import GivenUp
from loom_common.worker.consuming.stats import ConsumerStats, MessageOutcome
from loom_common.worker.context import Context


class Recovery:
    """Decides for the worker of one queue, and counts what it decides."""

    def __init__(self, service: str, queue: str, stats: ConsumerStats, clock: Clock, name: str) -> None:
        """`name` is what the worker calls itself in facts."""
        self._service = service
        self._queue = queue
        self._stats = stats
        self._clock = clock
        self._name = name
        self._told_pending: LRUCache[str, float] = LRUCache(1000)
        """When a run was told last that answers of a batch are awaited, in seconds of the clock."""

    def unpaid(self, message: Message, spent: BudgetExhausted) -> Sequence[Outgoing]:
        """Return the facts that pause the run. The coordinator asks for the batch again when the run is resumed."""
        log.warning("budget exhausted", limit_usd=spent.limit, gone_usd=spent.gone, reported=True)
        self._stats.count(MessageOutcome.STALE)
        return failure_messages.exhausted(message, spent)

    def failed(self, message: Message, error: LoomError | str) -> Sequence[Outgoing]:
        """Return the fact that the run cannot go on, and why."""
        log.error("run cannot go on", error=str(error), reported=True)
        self._stats.count(MessageOutcome.FAILED)
        return failure_messages.run_failed(message, error)

    def parked(self, message: Message, away: BreakerOpen, delivery: Delivery) -> Sequence[Outgoing]:
        """Return the message for a retry queue, so that others are handled. Its attempt number stays the same, because
        it is its upstream that failed."""
        self._stats.count(MessageOutcome.RETRIED)
        retry = delay_within(away.probe_in)
        return [failure_messages.again(message, self._queue, retry.step, delivered.number_of(delivery))]

    def awaiting_answers(self, message: Message, pending: AnswersPending, delivery: Delivery) -> Sequence[Outgoing]:
        """Return the message for a retry queue, because a provider's batch answers later, and the fact that says so.
        Its attempt number stays the same."""
        self._stats.count(MessageOutcome.RETRIED)
        retry = delay_within(pending.retry_in)
        parked = failure_messages.again(message, self._queue, retry.step, delivered.number_of(delivery))
        now, run_id = self._clock.monotonic(), message.correlation_id
        if now - self._told_pending.get(run_id, float("-inf")) < TELL_EVERY_SECONDS:
            return [parked]
        self._told_pending[run_id] = now
        cause = f"{self._name}/{run_id}/{now:.3f}"
        return [parked, *failure_messages.pausing(message, str(pending), retry.delay, cause)]

    def later_or_aside(
        self, message: Message, error: Exception, delivery: Delivery, context: Context
    ) -> Sequence[Outgoing | Wire]:
        """Return the message for its next attempt. After its last one, return its records for the quarantine; or the
        delivery for the dead letters, where no stage works on it. Raises `UnreadableMessage` where the error is one:
        its records were read for the first time, and it has no next attempt."""
        attempt = context.attempt.number
        retry = decide(error, attempt, lasting=failure_messages.stage_of(message) is None)
        if isinstance(error, GivenUp):
            attempt, error, retry = error.attempts, error.error, None
            context = replace(context, attempt=Attempt(attempt, last=True))
        if isinstance(error, UnreadableMessage):
            raise error
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
        again = failure_messages.again(message, self._queue, retry.step, attempt + 1)
        return [again, *failure_messages.delayed(message, error, attempt, retry)]
