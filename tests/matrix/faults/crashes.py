"""Processes that die, are told to go, or freeze."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

from loom_common.resilience.failpoints import EXIT_CODE
from matrix.arena import HEARTBEAT_SECONDS
from matrix.trial import Trial
from support.cluster import MODEL_CALLS_AT_ONCE

_SECONDS = 60.0
STATISTICS_SECONDS = 6.0
"""The broker's own are up to five seconds old."""
MOST_TIMES = {"extractor": 3, "transformer": 40, "evaluator": 40, "loader": 40, "quarantine": 20, "coordinator": 6}
"""How often a point is reached in a usual run, at least."""


async def at_a_failpoint(trial: Trial, service: str, point: str) -> None:
    """The service is gone at the n-th time it reaches the point."""
    most = 2 if point == "mid_relay" else MOST_TIMES[service]
    nth = trial.chance.randint(1, most)
    await trial.arena.arm({service: f"{service}:{point}:{nth}"})
    trial.arena.deaths.clear()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE if service == "transformer" else 0
    trial.struck()
    beginning = asyncio.create_task(trial.begin())
    try:
        async with asyncio.timeout(_SECONDS):
            while (service, EXIT_CODE) not in trial.arena.deaths:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{service} never came to {point} {nth} times") from None
    finally:
        trial.notes.append(f"{point}:{nth}")
    trial.struck()
    await beginning


async def killed(trial: Trial, service: str) -> None:
    """SIGKILL at a random moment."""
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE if service == "transformer" else 0
    trial.struck()
    trial.arena.kill(service)


async def told_to_go(trial: Trial, service: str) -> None:
    """SIGTERM with batches in hand: it finishes them, and nothing is delivered again."""
    await asyncio.sleep(STATISTICS_SECONDS)  # until what an earlier fault had delivered again is counted
    before = redelivered(trial)
    await trial.begin()
    await trial.midway()
    trial.arena.deaths.clear()
    trial.struck()
    trial.arena.signal(service, signal.SIGTERM)
    await trial.end()
    if trial.arena.deaths != [(service, 0)]:
        raise AssertionError(f"ended: {trial.arena.deaths}, expected {service} with 0")
    await asyncio.sleep(STATISTICS_SECONDS)
    if again := redelivered(trial) - before:
        raise AssertionError(f"messages were delivered again: {dict(again)}")


def redelivered(trial: Trial) -> Counter[str]:
    """Messages of the stages and of the quarantine that were delivered again, ever, by queue. Facts that had reached
    the coordinator's process and not its hands go back to their queue, which costs nothing."""
    queues = trial.arena.rabbitmq.api("GET", f"/queues/{trial.arena.vhost}")
    worked_on = [queue for queue in queues if not queue["name"].startswith("loom.coordinator.")]
    return Counter({queue["name"]: queue.get("message_stats", {}).get("redeliver", 0) for queue in worked_on})


async def frozen(trial: Trial, service: str) -> None:
    """SIGSTOP for longer than the heartbeat, then SIGCONT: it goes on as if nothing had been. Its beats are missed
    before the broker gives its connection up; until then what it had in hand looks lost, and may be asked for again."""
    trial.asked_again = True
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE if service == "transformer" else 0
    trial.struck()
    trial.arena.signal(service, signal.SIGSTOP)
    await asyncio.sleep(4 * HEARTBEAT_SECONDS)
    trial.arena.signal(service, signal.SIGCONT)


async def coordinator_at_the_end(trial: Trial) -> None:
    """SIGKILL as the last batches land."""
    await trial.begin()
    most = trial.records // 100 * 75  # a fifth is rejected
    query = f'SELECT count(*) FROM "{trial.table}"'
    await trial.asked(trial.records)
    async with asyncio.timeout(_SECONDS):
        while (await trial.arena.rows(query))[0][0] < most:
            await asyncio.sleep(0.005)
    await asyncio.sleep(trial.chance.uniform(0, 0.4))
    trial.struck()
    trial.arena.kill("coordinator")


async def one_of_two_coordinators(trial: Trial) -> None:
    """Both are at work on the same runs; one, and later the other, is killed."""
    second = "coordinator.2"
    trial.arena.cluster.begin(second)
    try:
        await asyncio.sleep(3)  # until it consumes, too
        await trial.begin()
        await trial.midway()
        trial.struck()
        one, other = trial.chance.sample(["coordinator", second], 2)
        trial.arena.kill(one)
        await asyncio.sleep(trial.chance.uniform(0, 1))
        trial.arena.kill(other)
        await trial.end()
    finally:
        trial.arena.cluster.drop(second)
