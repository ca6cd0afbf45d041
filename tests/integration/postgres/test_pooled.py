"""Tests Postgres behind PgBouncer: it is refused with the setting to change, unless it pools sessions and the URL says
so."""

from __future__ import annotations

import pytest

from loom_common.errors import ConfigurationError
from loom_connectors.ports.destination import LoadResult
from support.load_batches import batch


async def test_a_pooler_is_refused_unless_the_url_says_that_it_pools_sessions(pooler, loading, reading, sql):
    server, mode = pooler
    await sql("CREATE TABLE t (id int PRIMARY KEY)")
    for opened in (loading(url=server.url), reading("t", url=server.url)):
        async with opened as connector:
            with pytest.raises(ConfigurationError) as raised:
                await connector.check()
        assert "`pool_mode = session`" in str(raised.value)
        assert server.url.split(":")[2].partition("@")[0] not in str(raised.value)
    if mode == "session":
        async with loading("t&pool_mode=session", url=server.url, mode="upsert", key=["id"]) as destination:
            assert await destination.load(batch({"id": 1}, {"id": 2})) == LoadResult(2)
        async with reading("t&pool_mode=session", url=server.url, key="id") as source:
            assert [record.data for record in (await source.read(None, 5)).records] == [{"id": 1}, {"id": 2}]


async def test_another_pool_mode_is_refused(reading, postgres_url):
    with pytest.raises(ConfigurationError, match="pool_mode=session"):
        async with reading("t&pool_mode=transaction", url=postgres_url):
            pass
