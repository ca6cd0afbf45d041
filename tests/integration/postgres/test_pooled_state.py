"""Tests Loom's own tables in a Postgres behind PgBouncer: they are refused with the setting to change, unless it pools
sessions and the URL says so."""

from __future__ import annotations

import pytest

from loom_ai.stores.sql.postgres import postgres_engine
from loom_common.adapters.payloads.postgres import PostgresPayloads
from loom_common.errors import ConfigurationError
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable
from loom_migrations.upgrade import is_current, upgrade

SAID = "?pool_mode=session"


async def engines_on(url):
    for opened in (open_engine, postgres_engine):
        engine = opened(url)
        yield engine
        await engine.dispose()


async def test_loom_keeps_nothing_behind_a_pooler_unless_the_url_says_that_it_pools_sessions(pooler):
    server, mode = pooler
    for _ in range(2):
        async for engine in engines_on(server.url):
            with pytest.raises(ConfigurationError, match="pool_mode = session") as raised:
                await reachable(engine)
            assert server.url.split(":")[2].partition("@")[0] not in str(raised.value)
    payloads = PostgresPayloads(server.url)
    with pytest.raises(ConfigurationError, match="LOOM_PAYLOADS_URL is a pooler"):
        await payloads.put(b"x")
    await payloads.close()
    if mode == "session":
        async for engine in engines_on(server.url + SAID):
            await upgrade(engine)
            assert await is_current(engine)
        payloads = PostgresPayloads(server.url + SAID)
        assert await payloads.get(await payloads.put(b"x")) == b"x"
        await payloads.close()


@pytest.mark.parametrize("opened", [open_engine, postgres_engine, PostgresPayloads])
def test_another_pool_mode_of_loom_is_refused(opened):
    with pytest.raises(ConfigurationError, match="another `pool_mode`"):
        opened("postgresql://me@127.0.0.1/loom?pool_mode=transaction")
