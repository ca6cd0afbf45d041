"""`python -m matrix.soak`, which is `make soak`: random faults for half an hour, while run follows run.

Bounded: a run that has not ended after five minutes counts as broken. Exit code 1 where anything did not hold."""

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
from matrix.arena import HEARTBEAT_SECONDS, Arena, arena
from matrix.invariants import of_the_run, unsettled
from matrix.trial import RECORDS, Trial
from support.clients import request_of
from support.cluster import MODEL_CALLS_AT_ONCE, NAMES

RUNS_AT_ONCE = 2
END_SECONDS = 300.0
PAUSE_SECONDS = (2.0, 12.0)
"""Between the end of one fault and the next, at random."""


@dataclass
class Counts:
    """What was done, and what came of it."""

    strikes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


async def _kill(place: Arena, chance: random.Random) -> None:
    place.kill(chance.choice(NAMES))


async def _terminate(place: Arena, chance: random.Random) -> None:
    place.signal(chance.choice(NAMES), signal.SIGTERM)


async def _freeze(place: Arena, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    place.signal(name, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 4 * HEARTBEAT_SECONDS))
    place.signal(name, signal.SIGCONT)


async def _kill_broker(place: Arena, chance: random.Random) -> None:
    await asyncio.to_thread(place.rabbitmq.ctl, "eval", "dets:sync(ra_directory_reverse).")
    await asyncio.to_thread(place.rabbitmq.kill)
    await asyncio.sleep(chance.uniform(0, 5))
    await asyncio.to_thread(place.rabbitmq.start)


async def _close_connections(place: Arena, chance: random.Random) -> None:
    await asyncio.to_thread(place.rabbitmq.ctl, "close_all_connections", "--vhost", place.vhost, "soak")


async def _kill_postgres(place: Arena, chance: random.Random) -> None:
    await asyncio.to_thread(place.postgres.kill)
    await asyncio.sleep(chance.uniform(0, 5))
    await asyncio.to_thread(place.postgres.start)


async def _flush_redis(place: Arena, chance: random.Random) -> None:
    async with Redis.from_url(place.redis.url) as redis:
        await redis.flushall()


STRIKES: dict[str, tuple[int, Callable[[Arena, random.Random], Awaitable[None]]]] = {
    "SIGKILL of a service": (8, _kill),
    "SIGTERM of a service": (3, _terminate),
    "SIGSTOP of a service, SIGCONT": (2, _freeze),
    "broker SIGKILL and restart": (1, _kill_broker),
    "all connections closed": (2, _close_connections),
    "Postgres killed, restarted": (1, _kill_postgres),
    "Redis flushed": (1, _flush_redis),
}
"""Each with its weight."""


async def _strike(place: Arena, chance: random.Random, counts: Counts, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
        name = chance.choices(list(STRIKES), [weight for weight, _ in STRIKES.values()])[0]
        counts.strikes[name] += 1
        await STRIKES[name][1](place, chance)


async def _run_after_run(place: Arena, chance: random.Random, counts: Counts, until: float, lane: int) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        trial = Trial(place, chance, f"soak_{lane}_{number}", end_seconds=END_SECONDS)
        began = time.monotonic()
        try:
            await _begun(trial)
            found = await of_the_run(trial, await trial.end())
        except TimeoutError:
            found = [f"not ended after {END_SECONDS:g} s"]
        counts.runs += 1
        counts.seconds.append(time.monotonic() - began)
        counts.broken += [f"{trial.name}: {trouble}" for trouble in found]
        print(f"{trial.name}: {counts.seconds[-1]:.1f} s {'; '.join(found) or 'held'}", flush=True)


async def _begun(trial: Trial) -> None:
    """Ask until the answer comes: under one idempotency key, asking twice starts one run."""
    async with asyncio.timeout(END_SECONDS):
        while not trial.run_id:
            made, config = trial.make(RECORDS), trial.config
            try:
                async with asyncio.timeout(20), open_session(config, cluster=True) as session:
                    accepted = await session.start(request_of(made, config, idempotency_key=trial.name))
                    trial.run_id = accepted.run_id
            except (LoomError, OSError, TimeoutError):
                await asyncio.sleep(0.5)


async def _soak(minutes: float, seed: int) -> Counts:
    counts = Counts()
    async with arena() as place:
        until = time.monotonic() + minutes * 60
        lanes = [
            _run_after_run(place, random.Random(f"{seed}/{lane}"), counts, until, lane) for lane in range(RUNS_AT_ONCE)
        ]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_strike(place, random.Random(seed), counts, until))
            for lane in lanes:
                tasks.create_task(lane)
        await place.whole()
        counts.broken += await unsettled(place, "", 0)
        # A frozen or killed transformer had at most so many calls in flight; so had one whose delivery was lost.
        repeatable = MODEL_CALLS_AT_ONCE * sum(counts.strikes.values())
        calls, records = place.model.calls, counts.runs * RECORDS
        if calls > records + repeatable:
            counts.broken.append(f"{calls} model calls for {records} records, {repeatable} may be repeated")
        print(
            f"\n{calls} model calls for {records} records; {len(place.deaths)} processes ended and were started again"
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
