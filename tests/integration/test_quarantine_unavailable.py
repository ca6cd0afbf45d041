"""The quarantine's database is away, refuses, or has no tables yet."""

import pytest
from sqlalchemy.engine import make_url

from loom_common.errors import DependencyUnavailable
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from loom_quarantine import queries
from loom_quarantine.db import store
from loom_quarantine.queries import RecordFilter
from support.quarantined import NOW, kept, message


async def test_a_database_that_is_away_is_said_without_its_password():
    engine = open_engine("postgresql://loom:topsecret@127.0.0.1:1/loom")
    with pytest.raises(
        DependencyUnavailable, match=r"database postgresql.*127\.0\.0\.1:1/loom cannot be used"
    ) as raised:
        await queries.listing(engine, RecordFilter(), limit=1)
    await engine.dispose()
    assert "topsecret" not in str(raised.value)


async def test_a_refused_password_is_said_without_the_password(postgres_url):
    engine = open_engine(make_url(postgres_url).set(password="topsecret").render_as_string(hide_password=False))
    with pytest.raises(DependencyUnavailable, match="password authentication failed") as raised:
        await queries.listing(engine, RecordFilter(), limit=1)
    await engine.dispose()
    assert "topsecret" not in str(raised.value)


async def test_a_schema_that_is_not_there_yet_is_waited_for(url):
    engine = open_engine(url)
    with pytest.raises(DependencyUnavailable, match=r"quarantined_records.* and that the migrations were applied"):
        await queries.listing(engine, RecordFilter(), limit=1)
    await engine.dispose()


async def test_a_database_that_dies_and_returns_is_transient(own_postgres):
    async with own_postgres.database() as url:
        engine = open_engine(url)
        await upgrade(engine)
        own_postgres.kill()
        with pytest.raises(DependencyUnavailable):
            await store.keep(engine, message(kept("1")), NOW)
        own_postgres.restart()
        assert await store.keep(engine, message(kept("1")), NOW) == 1
        await engine.dispose()
