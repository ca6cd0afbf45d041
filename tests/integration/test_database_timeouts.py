"""No statement outlives its client: every connection tells the server, too, how long it will wait."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from loom_ai.stores.sql.postgres import postgres_engine
from loom_common.adapters.payloads.postgres import PostgresPayloads
from loom_common.config.credentials import Credentials
from loom_common.errors import DestinationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.postgres.server import Address, Server
from loom_connectors.sql.parameters import Timeouts
from loom_dev.waiting import within
from loom_migrations.engine import open_engine

LIMITS = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
SLEEPING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'
"""


async def _limits_of(engine) -> tuple[str, str]:
    async with engine.connect() as connection:
        row = (await connection.execute(text(LIMITS))).one()
    await engine.dispose()
    return tuple(row)


async def test_run_state_may_take_half_a_minute(postgres_url):
    assert await _limits_of(open_engine(postgres_url)) == ("30s", "1min")


async def test_the_journal_may_take_ten_seconds(postgres_url):
    assert await _limits_of(postgres_engine(postgres_url)) == ("10s", "1min")


async def test_payloads_may_take_ten_seconds(postgres_url):
    payloads = PostgresPayloads(postgres_url)
    async with payloads._connection() as connection:
        assert tuple(await connection.fetchrow(LIMITS)) == ("10s", "1min")
    await payloads.close()


@pytest.mark.parametrize(("given", "limit"), [("", "1min"), ("?statement_timeout=7s", "7s")])
async def test_a_destination_may_take_what_its_options_say_unless_its_url_says_it(postgres_url, given, limit, tmp_path):
    address = Address.of(
        postgres_url.replace("postgresql:", "postgres:") + given, ConnectorContext(tmp_path, Credentials())
    )
    server = Server(address, Timeouts(), DestinationError)
    async with server.connection() as connection:
        assert await connection.fetchval("SELECT current_setting('statement_timeout')") == limit
    await server.close()


async def test_the_limits_are_settable_and_the_server_ends_what_passes_them(postgres_url, monkeypatch):
    monkeypatch.setenv("LOOM_DATABASE_QUERY_TIMEOUT", "0.3")
    engine = postgres_engine(postgres_url)
    with pytest.raises((DBAPIError, TimeoutError)):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))
    await engine.dispose()
    watcher = await asyncpg.connect(postgres_url)
    async with within(5):
        while await watcher.fetchval(SLEEPING):
            await asyncio.sleep(0.02)
    await watcher.close()
