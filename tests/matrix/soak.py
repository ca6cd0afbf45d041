"""Implements `python -m matrix.soak`, which is `make soak`: it injects random faults for half an hour, while one run
follows another.

A run that has not ended after five minutes counts as broken. The exit code is 1 where a promise did not hold."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from redis.asyncio import Redis

from loom.session import open_session
from loom_common.errors import LoomError
from matrix.attempt import RECORDS, Attempt
from matrix.cluster_under_test import HEARTBEAT_SECONDS, ClusterUnderTest, cluster_under_test
from matrix.invariants import of_the_run, unsettled
from support.clients import request_of
from support.cluster import MODEL_CALLS_AT_ONCE, NAMES

RUNS_AT_ONCE = 2
END_SECONDS = 300.0
PAUSE_SECONDS = (2.0, 12.0)
"""Holds the range of seconds between the end of one fault and the next."""


@dataclass
class Counts:
    """Counts what was done, and the results."""

    strikes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


async def _kill(system: ClusterUnderTest, chance: random.Random) -> None:
    system.kill(chance.choice(NAMES))


async def _terminate(system: ClusterUnderTest, chance: random.Random) -> None:
    system.signal(chance.choice(NAMES), signal.SIGTERM)


async def _freeze(system: ClusterUnderTest, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    system.signal(name, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 4 * HEARTBEAT_SECONDS))
    system.signal(name, signal.SIGCONT)


async def _kill_broker(system: ClusterUnderTest, chance: random.Random) -> None:
    await asyncio.to_thread(system.rabbitmq.ctl, "eval", "dets:sync(ra_directory_reverse).")
    await asyncio.to_thread(system.rabbitmq.kill)
    await asyncio.sleep(chance.uniform(0, 5))
    await asyncio.to_thread(system.rabbitmq.start)


async def _close_connections(system: ClusterUnderTest, chance: random.Random) -> None:
    await asyncio.to_thread(system.rabbitmq.ctl, "close_all_connections", "--vhost", system.vhost, "soak")


async def _kill_postgres(system: ClusterUnderTest, chance: random.Random) -> None:
    await asyncio.to_thread(system.postgres.kill)
    await asyncio.sleep(chance.uniform(0, 5))
    await asyncio.to_thread(system.postgres.start)


async def _flush_redis(system: ClusterUnderTest, chance: random.Random) -> None:
    async with Redis.from_url(system.redis.url) as redis:
        await redis.flushall()


STRIKES: dict[str, tuple[int, Callable[[ClusterUnderTest, random.Random], Awaitable[None]]]] = {
    "SIGKILL of a service": (8, _kill),
    "SIGTERM of a service": (3, _terminate),
    "SIGSTOP of a service, SIGCONT": (2, _freeze),
    "broker SIGKILL and restart": (1, _kill_broker),
    "all connections closed": (2, _close_connections),
    "Postgres killed, restarted": (1, _kill_postgres),
    "Redis flushed": (1, _flush_redis),
}
"""Holds the faults, each with the weight of its being chosen."""


async def _strike(system: ClusterUnderTest, chance: random.Random, counts: Counts, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
        name = chance.choices(list(STRIKES), [weight for weight, _ in STRIKES.values()])[0]
        counts.strikes[name] += 1
        await STRIKES[name][1](system, chance)


async def _run_after_run(
    system: ClusterUnderTest, chance: random.Random, counts: Counts, until: float, lane: int
) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        attempt = Attempt(system, chance, f"soak_{lane}_{number}", end_seconds=END_SECONDS)
        began = time.monotonic()
        try:
            await _begun(attempt)
            found = await of_the_run(attempt, await attempt.end())
        except TimeoutError:
            found = [f"not ended after {END_SECONDS:g} s"]
        counts.runs += 1
        counts.seconds.append(time.monotonic() - began)
        counts.broken += [f"{attempt.name}: {trouble}" for trouble in found]
        print(f"{attempt.name}: {counts.seconds[-1]:.1f} s {'; '.join(found) or 'held'}", flush=True)


async def _begun(attempt: Attempt) -> None:
    """Ask for the run until it is accepted. With one idempotency key, asking twice starts one run."""
    async with asyncio.timeout(END_SECONDS):
        while not attempt.run_id:
            made, config = attempt.make(RECORDS), attempt.config
            try:
                async with asyncio.timeout(20), open_session(config, cluster=True) as session:
                    accepted = await session.start(request_of(made, config, idempotency_key=attempt.name))
                    attempt.run_id = accepted.run_id
            except (LoomError, OSError, TimeoutError):
                await asyncio.sleep(0.5)


async def _soak(minutes: float, seed: int) -> Counts:
    counts = Counts()
    async with cluster_under_test() as system:
        until = time.monotonic() + minutes * 60
        lanes = [
            _run_after_run(system, random.Random(f"{seed}/{lane}"), counts, until, lane) for lane in range(RUNS_AT_ONCE)
        ]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_strike(system, random.Random(seed), counts, until))
            for lane in lanes:
                tasks.create_task(lane)
        await system.wait_until_all_consume()
        counts.broken += await unsettled(system, "", 0)
        # A transformer that was frozen, killed or cut off had at most this many calls in flight.
        repeatable = MODEL_CALLS_AT_ONCE * sum(counts.strikes.values())
        calls, records = system.model.calls, counts.runs * RECORDS
        if calls > records + repeatable:
            counts.broken.append(f"{calls} model calls for {records} records, {repeatable} may be repeated")
        print(
            f"\n{calls} model calls for {records} records; {len(system.deaths)} processes ended and were started again"
        )
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m matrix.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts = asyncio.run(_soak(options.minutes, options.seed))
    print(f"{counts.runs} runs, the longest took {max(counts.seconds, default=0):.0f} s. Faults:")
    for name, count in counts.strikes.most_common():
        print(f"  {count:4} {name}")
    for trouble in counts.broken:
        print(f"BROKEN {trouble}")
    sys.exit(bool(counts.broken))


if __name__ == "__main__":
    main()
