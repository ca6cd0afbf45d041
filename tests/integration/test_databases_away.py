"""A Postgres that takes nobody just now is away, for whoever needs it: nobody gives up on what it was doing."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text

from loom_ai.stores.beside_journal import open_journal
from loom_ai.stores.sql.journal import trouble
from loom_ai.stores.sql.postgres import postgres_engine
from loom_common.adapters.payloads.postgres import PostgresPayloads
from loom_common.errors import DependencyUnavailable
from loom_common.ports.clock import SystemClock
from loom_coordinator.db.unit_of_work import begin
from loom_migrations.engine import open_engine
from loom_quarantine.db.errors import transaction


@asynccontextmanager
async def refusing(sqlstate: str) -> AsyncIterator[str]:
    """Serve everybody who connects this error, as Postgres does, and give the server's URL."""
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": "not now"}
    body = b"".join(kind.encode() + value.encode() + b"\0" for kind, value in fields.items()) + b"\0"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == 80877103:  # does it speak TLS? It does not
            writer.write(b"N")
            (size,) = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(size - 4)
        else:
            await reader.readexactly(size - 8)
        writer.write(b"E" + struct.pack("!i", len(body) + 4) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"postgresql://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/db"


async def _run_state(url: str) -> None:
    engine = open_engine(url)
    try:
        async with begin(engine, SystemClock().now(), None) as unit:
            await unit.connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()


async def _quarantine(url: str) -> None:
    engine = open_engine(url)
    try:
        async with transaction(engine):
            pass
    finally:
        await engine.dispose()


async def _journal(url: str) -> None:
    journal = open_journal(url)
    try:
        await journal.get_many(["key"])
    finally:
        await journal.close()


async def _payloads(url: str) -> None:
    payloads = PostgresPayloads(url)
    try:
        await payloads.owners()
    finally:
        await payloads.close()


@pytest.mark.parametrize("use", [_run_state, _quarantine, _journal, _payloads])
@pytest.mark.parametrize("sqlstate", ["57P03", "53300"], ids=["it starts up", "it is full"])
async def test_what_needs_it_waits(use, sqlstate):
    async with refusing(sqlstate) as url:
        with pytest.raises(DependencyUnavailable):
            await use(url)


async def test_a_session_that_the_server_ends_is_no_defect_of_the_journal(postgres_url):
    engine, killer = postgres_engine(postgres_url), await asyncpg.connect(postgres_url)
    try:
        with pytest.raises(DependencyUnavailable), trouble("The journal", "there", "read"):
            async with engine.connect() as connection:
                pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
                await killer.execute("SELECT pg_terminate_backend($1)", pid)
                await connection.execute(text("SELECT pg_sleep(5)"))
    finally:
        await killer.close()
        await engine.dispose()
