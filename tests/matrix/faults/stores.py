"""What can happen to Postgres, which holds run state and destination, and to Redis, which holds the journal."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
from redis.asyncio import Redis

from matrix.trial import Trial
from support.cluster import MODEL_CALLS_AT_ONCE

_AWAY_SECONDS = 10.0
_COMMITTED = ("loom_load_ledger", "batches")
"""Written in every transaction of the loader, and in most of the coordinator's."""
_TERMINATE = """
CREATE FUNCTION fault_terminate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE number bigint := nextval('fault_commits');
BEGIN
    IF number % 7 = 0 AND number <= 70 THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NULL;
END $$"""


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


async def terminated_at_commit(trial: Trial) -> None:
    """A trigger that waits for the commit ends its own session, of the loader's and the coordinator's transactions
    alike: every seventh that comes so far, until it has happened ten times."""
    query = trial.arena.rows
    await query("CREATE SEQUENCE fault_commits")
    await query(_TERMINATE)
    await trial.begin()
    await trial.midway()
    await trial.loaded(1)
    trial.struck()
    for table in _COMMITTED:
        await query(
            f"CREATE CONSTRAINT TRIGGER fault AFTER INSERT OR UPDATE ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault_terminate()"
        )
    try:
        await trial.end()
    finally:
        commits = (await query("SELECT last_value FROM fault_commits"))[0][0]
        await query("DROP FUNCTION fault_terminate() CASCADE")
        await query("DROP SEQUENCE fault_commits")
    trial.notes.append(f"{min(commits // 7, 10)} terminated")


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
