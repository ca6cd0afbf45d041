"""Tests what every payload store does."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import pytest

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.adapters.payloads.postgres import PostgresPayloads
from loom_common.errors import DependencyUnavailable
from loom_common.ports.payloads import PayloadStore
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade


@pytest.fixture(params=["folder", "postgres"])
def url(request):
    return None if request.param == "folder" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def payloads(url, tmp_path) -> AsyncIterator[PayloadStore]:
    if url is None:
        store: PayloadStore = FolderPayloads(tmp_path / "payloads")
    else:
        engine = open_engine(url)
        await upgrade(engine)
        await engine.dispose()
        store = PostgresPayloads(url)
    yield store
    await store.close()


async def test_what_is_put_comes_back_by_its_name(payloads):
    assert await payloads.get(await payloads.put(b"a plan")) == b"a plan"


async def test_putting_twice_is_once(payloads):
    assert await payloads.put(b"a plan") == await payloads.put(b"a plan")


async def test_what_was_never_put_is_a_key_error(payloads):
    with pytest.raises(KeyError):
        await payloads.get("0" * 64)


async def test_data_of_an_owner_is_forgotten_and_no_other(payloads):
    plan = await payloads.put(b"body")
    mine, yours = [await payloads.put(b"body", owner=owner) for owner in ("run_1", "run_2")]
    assert sorted(await payloads.owners()) == ["run_1", "run_2"]
    await payloads.forget("run_1")
    assert list(await payloads.owners()) == ["run_2"]
    with pytest.raises(KeyError):
        await payloads.get(mine)
    assert await payloads.get(yours) == await payloads.get(plan) == b"body"


async def test_it_is_known_when_an_owner_got_data_last(payloads):
    before = dt.datetime.now(dt.UTC)
    await payloads.put(b"one", owner="run_1")
    first = (await payloads.owners())["run_1"]
    await payloads.put(b"two", owner="run_1")
    second = (await payloads.owners())["run_1"]
    slack = dt.timedelta(seconds=1)  # file systems and servers keep time less exactly
    assert before - slack <= first <= second <= dt.datetime.now(dt.UTC) + slack


async def test_the_first_data_under_a_name_counts(payloads):
    both = await asyncio.gather(*(payloads.put_first(data, owner="run_1", name="0.1") for data in (b"one", b"two")))
    assert both[0] == both[1] == await payloads.get("run_1/0.1")
    assert await payloads.put_first(b"three", owner="run_1", name="0.1") == both[0]
    await payloads.put_first(b"other", owner="run_1", name="0.2")
    await payloads.put_first(b"yours", owner="run_2", name="0.1")
    assert sorted(await payloads.names("run_1")) == ["run_1/0.1", "run_1/0.2"]
    await payloads.forget("run_1")
    assert await payloads.names("run_1") == []
    assert await payloads.get("run_2/0.1") == b"yours"


async def test_forgetting_nothing_is_no_error(payloads):
    await payloads.forget("run_none")


async def test_a_postgres_that_is_away_is_a_dependency_unavailable():
    store = PostgresPayloads("postgresql://nobody:secret@127.0.0.1:9/none")
    with pytest.raises(DependencyUnavailable) as caught:
        await store.get("x")
    assert "secret" not in str(caught.value)
