"""Injects faults of Postgres, which holds the run state and the destination, and of Redis, which holds the journal."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
from redis.asyncio import Redis

from matrix.attempt import Attempt
from support.cluster import MODEL_CALLS_AT_ONCE

_AWAY_SECONDS = 10.0
_COMMITTED = ("loom_load_ledger", "batches")
"""Tables that are written in every transaction of the loader, and in most of the coordinator's."""
_TERMINATE = """
CREATE FUNCTION fault_terminate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE number bigint := nextval('fault_commits');
BEGIN
    IF number % 7 = 0 AND number <= 70 THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NULL;
END $$"""


async def postgres_away(attempt: Attempt) -> None:
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    await asyncio.to_thread(attempt.system.postgres.stop)
    await asyncio.sleep(_AWAY_SECONDS)
    await asyncio.to_thread(attempt.system.postgres.start)


async def postgres_killed(attempt: Attempt) -> None:
    """Kill Postgres with SIGKILL; it recovers from its log."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    await asyncio.to_thread(attempt.system.postgres.kill)
    await asyncio.to_thread(attempt.system.postgres.start)


async def backends_terminated(attempt: Attempt) -> None:
    """Terminate sessions that are in a transaction for some seconds, many of them during their commit."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.fault_begins()
    connection = await asyncpg.connect(attempt.system.state_url)
    hit = 0
    try:
        async with asyncio.timeout(3):
            while True:
                hit += await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'"
                )
                await asyncio.sleep(attempt.chance.uniform(0.005, 0.1))
    except TimeoutError:
        attempt.notes.append(f"{hit} terminated")
    finally:
        with contextlib.suppress(Exception):
            await connection.close()


async def terminated_at_commit(attempt: Attempt) -> None:
    """Make every seventh transaction of the loader and the coordinator end its own session at its commit, ten times in
    all."""
    query = attempt.system.rows
    await query("CREATE SEQUENCE fault_commits")
    await query(_TERMINATE)
    await attempt.begin()
    await attempt.wait_until_midway()
    await attempt.wait_for_loaded(1)
    attempt.fault_begins()
    for table in _COMMITTED:
        await query(
            f"CREATE CONSTRAINT TRIGGER fault AFTER INSERT OR UPDATE ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault_terminate()"
        )
    try:
        await attempt.end()
    finally:
        commits = (await query("SELECT last_value FROM fault_commits"))[0][0]
        await query("DROP FUNCTION fault_terminate() CASCADE")
        await query("DROP SEQUENCE fault_commits")
    attempt.notes.append(f"{min(commits // 7, 10)} terminated")


async def redis_killed(attempt: Attempt) -> None:
    """Kill Redis for some seconds. It starts again empty."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    await asyncio.to_thread(attempt.system.redis.kill)
    await asyncio.sleep(5)
    await asyncio.to_thread(attempt.system.redis.start)


async def redis_flushed(attempt: Attempt) -> None:
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    async with Redis.from_url(attempt.system.redis.url) as redis:
        await redis.flushall()
