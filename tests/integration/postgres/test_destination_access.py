"""Tests loading into a real Postgres: servers that are away, connections that are lost, and rights."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from loom_common.errors import AccessRefused, DependencyUnavailable
from loom_dev.waiting import within
from support.load_batches import batch

WAITING_ENDED = """
    SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE NOT granted AND datname = current_database()
"""
"""Ends the connections to the test's own database that wait for a lock."""


async def test_a_server_that_is_not_there_is_unavailable(loading):
    async with loading(url="postgres://u:secret@127.0.0.1:1/d") as destination:
        for attempt in (destination.check(), destination.load(batch({"a": 1}))):
            with pytest.raises(DependencyUnavailable, match=r"postgres://127\.0\.0\.1:1/d") as raised:
                await attempt
            assert "secret" not in str(raised.value)


async def test_a_connection_lost_in_the_midst_of_a_load_can_be_tried_again(sql, postgres_url, loading):
    await sql("CREATE TABLE t (a text)")
    other = await asyncpg.connect(postgres_url)
    async with loading() as destination:
        async with other.transaction():
            await other.execute("LOCK TABLE t")
            load = asyncio.create_task(destination.load(batch({"a": 1})))
            async with within(30, "a load that waits for the lock"):
                while not await sql(WAITING_ENDED):
                    assert not load.done()
            with pytest.raises(DependencyUnavailable):
                await load
        assert (await destination.load(batch({"a": 1}))).loaded == 1
    await other.close()
    assert await sql("SELECT a FROM t") == [("1",)]


async def test_a_connection_lost_while_idle_is_replaced(sql, loading):
    async with loading() as destination:
        await destination.load(batch({"a": 1}))
        await sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database()"
        )
        try:
            result = await destination.load(batch({"a": 2}, name="b2"))
        except DependencyUnavailable:  # the driver had not heard of it yet
            result = await destination.load(batch({"a": 2}, name="b2"))
        assert result.loaded == 1
    assert await sql("SELECT a FROM t ORDER BY a") == [(1,), (2,)]


async def test_a_user_who_may_not_write_is_refused(sql, postgres_url, loading):
    parts = urlsplit(postgres_url)
    user = f"reader_{parts.path[-12:]}"
    await sql(
        "CREATE TABLE t (a text)",
        f"CREATE ROLE {user} LOGIN PASSWORD 'pw'",
        f"GRANT SELECT ON t TO {user}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    url = parts._replace(netloc=f"{user}:pw@{parts.hostname}:{parts.port}").geturl()
    for table in ("t", "new"):
        async with loading(table, url=url) as destination:
            for attempt in (destination.check(), destination.load(batch({"a": 1}))):
                with pytest.raises(AccessRefused):
                    await attempt
    await sql(f"DROP OWNED BY {user}", f"DROP ROLE {user}")


async def test_a_read_only_database_is_refused(sql, postgres_url, loading):
    name = urlsplit(postgres_url).path.strip("/")
    await sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with loading() as destination:
        for attempt in (destination.check(), destination.load(batch({"a": 1}))):
            with pytest.raises(AccessRefused, match="read-only"):
                await attempt
