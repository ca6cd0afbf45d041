"""Defines the errors of both buses for messages without a route, and for missing parts of the topology."""

from __future__ import annotations

from collections.abc import Iterable

from loom_common.errors import TopologyMissing, Unroutable

REMEDY = "Declare it with `loom-coordinator topology apply`."


def unroutable(routes: Iterable[tuple[str, str]]) -> Unroutable:
    """Return the error that names each (exchange, routing key) that reached no queue, once."""
    shown = ", ".join(f"{exchange or '(direct)'}/{key}" for exchange, key in dict.fromkeys(routes))
    return Unroutable(
        f"Published to {shown}, where no queue is bound; the message was not taken. "
        f"Check that the topology is complete. {REMEDY}"
    )


def no_exchange(exchange: str, key: str) -> Unroutable:
    """Return the error of a message whose exchange does not exist."""
    return Unroutable(f"Published to {exchange}/{key}, but there is no exchange {exchange}. {REMEDY}")


def topology_missing(place: str, exchanges: Iterable[str], queues: Iterable[str]) -> TopologyMissing:
    """Return the error that names everything that `place` lacks."""
    parts = [f"exchange {name}" for name in exchanges] + [f"queue {name}" for name in queues]
    return TopologyMissing(f"{place} lacks {', '.join(parts)}. {REMEDY}")


def at_least_one(prefetch: int) -> int:
    """Return the prefetch limit. Raises `ValueError` for zero, which RabbitMQ takes for no limit."""
    if prefetch < 1:
        raise ValueError(f"a prefetch limit is at least 1, not {prefetch}")
    return prefetch
