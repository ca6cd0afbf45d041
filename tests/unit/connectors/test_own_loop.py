"""The source and the destination of a plugin whose code does not do what it should."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DependencyUnavailable, InvalidDefinition, PluginFailed, Timeout, WorkerWornOut
from loom_common.user_code.threads import Threads
from loom_connectors.custom import DataConnector, ExtractResult, LoadResult, Record
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination, open_source, register_connector

SECONDS = 0.3
AMPLE = 30.0
BATCH = LoadBatch("run_1", "b", 0, 0, 0, [Row("r1", {"id": 1})])


class Crm(DataConnector):
    """Serves one record, and holds its loop while `held` is true."""

    held = False
    connections: list[asyncio.AbstractEventLoop]

    async def connect(self) -> None:
        self.connections.append(asyncio.get_running_loop())

    async def disconnect(self) -> None:
        self.connections.pop()

    async def extract(self, query: str, batch_size: int = 100, cursor: str | None = None) -> ExtractResult:
        self._compute()
        return ExtractResult([Record("1", {"id": 1})], 1, has_more=False)

    async def load(self, records: list[Record], destination: str) -> LoadResult:
        self._compute()
        return LoadResult(len(records), 0)

    async def validate_connection(self) -> bool:
        return True

    def _compute(self) -> None:
        while self.held:
            pass


def connector(**attributes: Any) -> type[Crm]:
    made = type("Crm", (Crm,), {"connections": [], **attributes})
    register_connector("crm", made)
    return made


@pytest.fixture
def context(tmp_path):
    return ConnectorContext(tmp_path, Credentials({}), call_seconds=AMPLE)


def source(context):
    return open_source(ExtractConfig(source="crm://leads"), context)


def destination(context):
    return open_destination(LoadConfig(destination="crm://leads"), context)


async def test_they_run_on_another_loop_than_the_messages_and_stay_connected_there(context):
    crm = connector()
    opened = source(context)
    await opened.check()
    assert len((await opened.read(None, 10)).records) == 1
    assert [loop is asyncio.get_running_loop() for loop in crm.connections] == [False]
    await opened.close()
    assert crm.connections == []


@pytest.mark.parametrize("call", [lambda c: source(c).read(None, 10), lambda c: destination(c).load(BATCH)])
async def test_a_call_that_computes_without_end_is_late_and_holds_up_nothing_else(context, call):
    connector(held=True)
    late = asyncio.create_task(call(replace(context, call_seconds=SECONDS)))
    await asyncio.sleep(0)
    assert not late.done()
    with pytest.raises(Timeout, match=r"crm://leads did not answer within 0\.3 s"):
        await late


async def test_after_its_loop_was_given_up_on_it_is_connected_again_on_another_one(context):
    crm = connector(held=True)
    opened = source(replace(context, call_seconds=SECONDS))
    with pytest.raises(Timeout):
        await opened.read(None, 10)
    crm.held = False
    assert len((await opened.read(None, 10)).records) == 1
    assert len(set(crm.connections)) == 2
    await opened.close()


async def test_too_much_code_that_hangs_wears_the_process_out(context):
    async def blocked(self: Crm, *_: Any, **__: Any) -> ExtractResult:
        threading.Event().wait(20)
        raise AssertionError("nobody waits so long")

    connector(extract=blocked)
    opened = source(replace(context, call_seconds=SECONDS, threads=Threads(limit=1)))
    with pytest.raises(Timeout):
        await opened.read(None, 10)
    with pytest.raises(WorkerWornOut):
        await opened.read(None, 10)


@pytest.mark.parametrize("error", [KeyError("user"), ValueError("no such page")])
async def test_what_its_code_raises_is_named_with_the_plugin(context, error):
    async def broken(self: Crm, *_: Any, **__: Any) -> ExtractResult:
        raise error

    connector(extract=broken)
    with pytest.raises(PluginFailed, match=f"The source crm://leads raised {type(error).__name__}: "):
        await source(context).read(None, 10)


@pytest.mark.parametrize("kind", [ConnectionError, ValueError])
async def test_an_error_that_holds_a_secret_is_shown_without_it(tmp_path, kind):
    async def broken(self: Crm, *_: Any, **__: Any) -> ExtractResult:
        raise kind(f"no login at {self.config['url']} with {self.config['password']}")

    connector(extract=broken)
    credentials = Credentials({"env": EnvProvider({"KEY": "s3cret/"})})
    opened = open_source(ExtractConfig(source="crm://me:${KEY}@host/leads"), ConnectorContext(tmp_path, credentials))
    with pytest.raises(
        (PluginFailed, DependencyUnavailable), match=r"no login at crm://me:\*\*\*@host/leads with \*\*\*"
    ):
        await opened.read(None, 10)


async def test_code_that_ends_the_process_only_fails_its_call(context):
    async def leave(self: Crm, *_: Any, **__: Any) -> ExtractResult:
        raise SystemExit(3)

    connector(extract=leave)
    with pytest.raises(PluginFailed, match="SystemExit: 3"):
        await source(context).read(None, 10)


@pytest.mark.parametrize("error", [KeyError("user"), SystemExit(3)])
def test_one_that_cannot_be_made_is_named_with_what_it_raised(context, error):
    def broken(self: Crm, config: dict[str, Any]) -> None:
        raise error

    connector(__init__=broken)
    with pytest.raises(InvalidDefinition, match=rf"The source crm://leads cannot be opened: {type(error).__name__}"):
        source(context)
