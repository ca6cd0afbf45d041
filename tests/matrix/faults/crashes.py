"""Injects faults of processes: they die, are asked to stop, or freeze."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

from loom_common.resilience.failpoints import EXIT_CODE
from matrix.attempt import Attempt
from matrix.cluster_under_test import HEARTBEAT_SECONDS
from support.cluster import MODEL_CALLS_AT_ONCE

_SECONDS = 60.0
STATISTICS_SECONDS = 6.0
"""The number of seconds to wait for statistics of the broker, which are up to five seconds old."""
MOST_TIMES = {"extractor": 3, "transformer": 40, "evaluator": 40, "loader": 40, "quarantine": 20, "coordinator": 6}
"""Says how often each service reaches a failpoint in a usual run, at least."""


async def at_a_failpoint(attempt: Attempt, service: str, point: str) -> None:
    """The service exits the n-th time that it reaches the point."""
    most = 2 if point == "mid_relay" else MOST_TIMES[service]
    nth = attempt.chance.randint(1, most)
    await attempt.system.restart_with_failpoints({service: f"{service}:{point}:{nth}"})
    attempt.system.deaths.clear()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE if service == "transformer" else 0
    attempt.fault_begins()
    beginning = asyncio.create_task(attempt.begin())
    try:
        async with asyncio.timeout(_SECONDS):
            while (service, EXIT_CODE) not in attempt.system.deaths:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{service} never came to {point} {nth} times") from None
    finally:
        attempt.notes.append(f"{point}:{nth}")
    attempt.fault_begins()
    await beginning


async def killed(attempt: Attempt, service: str) -> None:
    """Send SIGKILL at a random moment."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE if service == "transformer" else 0
    attempt.fault_begins()
    attempt.system.kill(service)


async def told_to_go(attempt: Attempt, service: str) -> None:
    """Send SIGTERM with batches in flight. The service finishes them, and nothing is delivered again."""
    await asyncio.sleep(STATISTICS_SECONDS)  # until redeliveries of an earlier fault are counted
    before = redelivered(attempt)
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.system.deaths.clear()
    attempt.fault_begins()
    attempt.system.signal(service, signal.SIGTERM)
    await attempt.end()
    if attempt.system.deaths != [(service, 0)]:
        raise AssertionError(f"ended: {attempt.system.deaths}, expected {service} with 0")
    await asyncio.sleep(STATISTICS_SECONDS)
    if again := redelivered(attempt) - before:
        raise AssertionError(f"messages were delivered again: {dict(again)}")


def redelivered(attempt: Attempt) -> Counter[str]:
    """Return how many messages of the stages and the quarantine were ever delivered again, by queue.

    Facts are left out: those that were prefetched but not applied return to their queue, which costs nothing."""
    queues = attempt.system.rabbitmq.api("GET", f"/queues/{attempt.system.vhost}")
    worked_on = [queue for queue in queues if not queue["name"].startswith("loom.coordinator.")]
    return Counter({queue["name"]: queue.get("message_stats", {}).get("redeliver", 0) for queue in worked_on})


async def frozen(attempt: Attempt, service: str) -> None:
    """Send SIGSTOP for longer than the broker's heartbeat, then SIGCONT.

    Loom misses the service's heartbeats before the broker closes its connection. Until then its unacknowledged messages
    look lost, and may be published again."""
    attempt.asked_again = True
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE if service == "transformer" else 0
    attempt.fault_begins()
    attempt.system.signal(service, signal.SIGSTOP)
    await asyncio.sleep(4 * HEARTBEAT_SECONDS)
    attempt.system.signal(service, signal.SIGCONT)


async def coordinator_at_the_end(attempt: Attempt) -> None:
    """Send SIGKILL to the coordinator while the last batches are loaded."""
    await attempt.begin()
    most = attempt.records // 100 * 75  # a fifth is rejected
    query = f'SELECT count(*) FROM "{attempt.table}"'
    await attempt.wait_for_calls(attempt.records)
    async with asyncio.timeout(_SECONDS):
        while (await attempt.system.rows(query))[0][0] < most:
            await asyncio.sleep(0.005)
    await asyncio.sleep(attempt.chance.uniform(0, 0.4))
    attempt.fault_begins()
    attempt.system.kill("coordinator")


async def one_of_two_coordinators(attempt: Attempt) -> None:
    """Kill one of two coordinators that work on the same runs, and later the other."""
    second = "coordinator.2"
    attempt.system.cluster.begin(second)
    try:
        await asyncio.sleep(3)  # until it consumes, too
        await attempt.begin()
        await attempt.wait_until_midway()
        attempt.fault_begins()
        one, other = attempt.chance.sample(["coordinator", second], 2)
        attempt.system.kill(one)
        await asyncio.sleep(attempt.chance.uniform(0, 1))
        attempt.system.kill(other)
        await attempt.end()
    finally:
        attempt.system.cluster.drop(second)
