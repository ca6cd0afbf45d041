"""What can happen to Postgres, which holds run state and destination, and to Redis, which holds the journal."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
from redis.asyncio import Redis

from matrix.trial import Trial
from support.cluster import MODEL_CALLS_AT_ONCE

_AWAY_SECONDS = 10.0


async def postgres_away(trial: Trial) -> None:
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    await asyncio.to_thread(trial.arena.postgres.stop)
    await asyncio.sleep(_AWAY_SECONDS)
    await asyncio.to_thread(trial.arena.postgres.start)


async def postgres_killed(trial: Trial) -> None:
    """As a crash would; it recovers from its log."""
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    await asyncio.to_thread(trial.arena.postgres.kill)
    await asyncio.to_thread(trial.arena.postgres.start)


async def backends_terminated(trial: Trial) -> None:
    """For some seconds, whoever is in a transaction just then; many of them at their commit."""
    await trial.begin()
    await trial.midway()
    trial.struck()
    connection = await asyncpg.connect(trial.arena.state_url)
    hit = 0
    try:
        async with asyncio.timeout(3):
            while True:
                hit += await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'"
                )
                await asyncio.sleep(trial.chance.uniform(0.005, 0.1))
    except TimeoutError:
        trial.notes.append(f"{hit} terminated")
    finally:
        with contextlib.suppress(Exception):
            await connection.close()


async def redis_killed(trial: Trial) -> None:
    """For some seconds; it comes back empty."""
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    await asyncio.to_thread(trial.arena.redis.kill)
    await asyncio.sleep(5)
    await asyncio.to_thread(trial.arena.redis.start)


async def redis_flushed(trial: Trial) -> None:
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    async with Redis.from_url(trial.arena.redis.url) as redis:
        await redis.flushall()
