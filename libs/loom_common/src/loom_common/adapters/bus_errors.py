"""What either bus says when a message has no way to go, or a part of the topology is not there."""

from __future__ import annotations

from collections.abc import Iterable

from loom_common.errors import TopologyMissing, Unroutable

REMEDY = "Declare it with `loom-coordinator topology apply`."


def unroutable(routes: Iterable[tuple[str, str]]) -> Unroutable:
    """Names each (exchange, routing key) that led nowhere, once."""
    shown = ", ".join(f"{exchange or '(direct)'}/{key}" for exchange, key in dict.fromkeys(routes))
    return Unroutable(
        f"Published to {shown}, where no queue is bound; the message was not taken. "
        f"Check that the topology is complete. {REMEDY}"
    )


def no_exchange(exchange: str, key: str) -> Unroutable:
    """The exchange itself does not exist."""
    return Unroutable(f"Published to {exchange}/{key}, but there is no exchange {exchange}. {REMEDY}")


def topology_missing(place: str, exchanges: Iterable[str], queues: Iterable[str]) -> TopologyMissing:
    """Names everything that `place` lacks."""
    parts = [f"exchange {name}" for name in exchanges] + [f"queue {name}" for name in queues]
    return TopologyMissing(f"{place} lacks {', '.join(parts)}. {REMEDY}")


def at_least_one(prefetch: int) -> int:
    """The prefetch limit. Zero would mean no limit to RabbitMQ, so it is refused: raises `ValueError`."""
    if prefetch < 1:
        raise ValueError(f"a prefetch limit is at least 1, not {prefetch}")
    return prefetch
