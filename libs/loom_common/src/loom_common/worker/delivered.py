"""Says of a delivered message what its worker has to know: which attempt it is, and what the message is about."""

from __future__ import annotations

from functools import lru_cache

from loom_common.contracts.encoding.codec import epoch_of
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import BatchInSteps
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.recovery import decide
from loom_common.errors import TransientError
from loom_common.ports.bus import Delivery
from loom_common.ports.tracing import Attributes
from loom_common.worker import failure_messages
from loom_common.worker.usage import Usage


def number_of(delivery: Delivery) -> int:
    """Return which attempt at its message this delivery is (1-based), by the header `loom-attempt`."""
    value = delivery.headers.get("loom-attempt", 1)
    return value if isinstance(value, int) else 1


def attempt_of(delivery: Delivery) -> Attempt:
    """Return the attempt that a handler is told of."""
    number = number_of(delivery)
    return Attempt(number, last=_is_last(number), redelivered=delivery.deliveries)


@lru_cache(100)
def _is_last(attempt: int) -> bool:
    return decide(TransientError(""), attempt) is None


def records_of(message: Message) -> int:
    """Return how many records the message holds; 1 for a message without records."""
    return len(message.records) if isinstance(message, failure_messages.Batch) else 1


def budget_of(message: Message) -> Budget | None:
    """Return what its run may spend; None where it has no budget, or the message is not about a batch."""
    header = getattr(message, "header", None)
    return None if header is None else header.budget


def usage_of(message: Message) -> Usage:
    """Return where the model calls of a message are entered, beside those that were made for its batch before it."""
    before = message.so_far.calls if isinstance(message, BatchInSteps) else ()
    return Usage(budget_of(message), epoch_of(message) or 0, before)


def batch_of(message: Message) -> dict[str, str]:
    """Return the names of the batch that the message is about, for logs and traces."""
    header = getattr(message, "header", None)
    return {"batch_id": header.batch_id, "pipeline": header.pipeline} if header is not None else {}


def attributes(queue: str, message: Message, delivery: Delivery) -> Attributes:
    """Return what a trace says of the message: where it came from and what it is about, and none of its data."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "messaging.message.id": message.message_id,
        "loom.run_id": message.correlation_id,
        "loom.message": message.type,
        "loom.records": records_of(message),
        "loom.attempt": number_of(delivery),
        **{f"loom.{name}": value for name, value in batch_of(message).items()},
    }
