"""Defines the matrix as data: each fault, how often it is tried, and the function that injects it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from matrix.attempt import Attempt
from matrix.faults import behaviour, broker, crashes, messages, moved, network, stores
from support.cluster import NAMES

STAGE_SERVICES = ("extractor", "transformer", "evaluator", "loader", "quarantine")
WORKER_POINTS = ("before_publish", "mid_publish", "after_confirm", "before_ack", "after_ack")
LOADER_POINTS = ("before_load_commit", "after_load_commit")
COORDINATOR_POINTS = ("before_commit", "after_commit", "mid_publish", "mid_relay", "before_ack", "after_ack")


@dataclass(frozen=True)
class FaultCase:
    """Represents one fault and how often it is tried."""

    fault: str
    times: int
    """Says how often the full matrix tries it."""
    inject: Callable[[Attempt], Awaitable[None]]
    proxied: bool = False
    """Tells whether it needs proxies in front of the broker and the database."""
    short: bool = False
    """Tells whether the short matrix tries it once."""


def _fault_cases() -> Iterator[FaultCase]:
    points = [(service, point) for service in STAGE_SERVICES for point in WORKER_POINTS]
    points += [("loader", point) for point in LOADER_POINTS]
    points += [("coordinator", point) for point in COORDINATOR_POINTS]
    for number, (service, point) in enumerate(points):
        inject = partial(crashes.at_a_failpoint, service=service, point=point)
        yield FaultCase(f"`{service}` exits at {point.replace('_', ' ')}", 5, inject, short=number % 6 == 0)
    for name in NAMES:
        yield FaultCase(
            f"`{name}` SIGKILL at random", 20, partial(crashes.killed, service=name), short=name == "loader"
        )
    for name in NAMES:
        times = 10 if name == "transformer" else 2
        inject = partial(crashes.told_to_go, service=name)
        yield FaultCase(f"`{name}` SIGTERM mid-batch", times, inject, short=name == "transformer")
    for name in NAMES:
        inject = partial(crashes.frozen, service=name)
        yield FaultCase(f"`{name}` SIGSTOP beyond the heartbeat, SIGCONT", 3, inject)
    yield FaultCase("coordinator SIGKILL as the last batches land", 20, crashes.coordinator_at_the_end, short=True)
    yield FaultCase(
        "two coordinators at work, one SIGKILL, then the other", 5, crashes.one_of_two_coordinators, short=True
    )
    yield FaultCase("broker SIGKILL and restart", 5, broker.killed, short=True)
    yield FaultCase("all connections closed", 5, broker.connections_closed, short=True)
    yield FaultCase("a stage's queue deleted", 5, broker.queue_deleted)
    yield FaultCase("broker wiped", 5, broker.wiped, short=True)
    yield FaultCase("broker wiped as the last batches land", 5, broker.wiped_at_the_end)
    yield FaultCase("broker wiped as the load is finalized", 5, broker.wiped_while_finalizing)
    yield FaultCase("memory alarm for 30 s", 2, broker.memory_alarm)
    yield FaultCase("Postgres away for 10 s", 5, stores.postgres_away)
    yield FaultCase("Postgres killed, restarted", 5, stores.postgres_killed, short=True)
    yield FaultCase("Postgres backends terminated, for 3 s", 5, stores.backends_terminated, short=True)
    yield FaultCase("Postgres backends terminated at their commit", 5, stores.terminated_at_commit, short=True)
    yield FaultCase("Redis killed, back empty after 5 s", 3, stores.redis_killed)
    yield FaultCase("Redis flushed", 3, stores.redis_flushed, short=True)
    yield FaultCase("every message twice", 2, messages.duplicated, short=True)
    yield FaultCase("messages reordered", 2, messages.reordered)
    yield FaultCase("malformed and 1,000 fuzzed messages", 2, messages.malformed, short=True)
    yield FaultCase("a record of 10 MB", 2, partial(messages.large, megabytes=10))
    yield FaultCase("a record of 20 MB", 2, partial(messages.large, megabytes=20))
    for name in ("extractor", "loader", "coordinator"):
        inject = partial(moved.killed, service=name)
        yield FaultCase(f"`{name}` SIGKILL, batches go straight to the loader", 5, inject, short=name != "coordinator")
    yield FaultCase(
        "one of two extractors SIGKILL, the source in 4 partitions", 5, moved.one_of_two_extractors, short=True
    )
    yield FaultCase("broker wiped, batches go straight to the loader", 3, moved.wiped, short=True)
    for name in ("transformer", "evaluator"):
        inject = partial(moved.killed, service=name, every_hop=True)
        yield FaultCase(f"`{name}` SIGKILL, it has nothing to do and is visited", 5, inject, short=name == "evaluator")
    for poison in ("raises", "kills", "hangs"):
        yield FaultCase(f"a record that {poison}", 5, partial(behaviour.poison, how=poison), short=poison == "kills")
    yield FaultCase("cancelled and resumed three times", 3, behaviour.cancelled_and_resumed, short=True)
    yield FaultCase("paused for an hour of virtual time", 3, behaviour.paused_for_an_hour, short=True)
    yield FaultCase("a run beside one 100 times larger", 3, behaviour.small_beside_large)
    for towards in ("broker", "database"):
        for name, inject in (("reset", network.reset), ("black hole", network.black_hole), ("500 ms", network.slow)):
            yield FaultCase(f"{name} between services and {towards}", 5, partial(inject, towards=towards), proxied=True)


FAULT_CASES = tuple(_fault_cases())
