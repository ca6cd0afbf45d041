"""Tests objects of Google's store against an emulator of its XML interface: tokens are checked, changes are noticed by
an object's generation, and a process that is killed is followed by one that loads each row once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import AccessRefused, ConfigurationError, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from loom_dev.emulators.google_storage import GoogleStorage, account_of
from support import object_locks
from support.buckets import GOOGLE_KEYS, bucket_of
from support.file_contents import records_in

OUT = f"gs://tests/${{GCS_FOLDER}}/out.parquet{GOOGLE_KEYS}"
IN = f"gs://tests/${{GCS_FOLDER}}/in.csv{GOOGLE_KEYS}"
CHILD = """
import asyncio, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination

async def main(location):
    opened = open_destination(LoadConfig(destination=location, mode="replace"), ConnectorContext(Path(), Credentials()))
    for position in range(20):
        rows = [Row(str(at), {"id": position * 50 + at, "text": "x" * 200}) for at in range(50)]
        await opened.load(LoadBatch("run_1", f"b{position}", 0, 0, position, rows))
        print("loaded", flush=True)
    await opened.finalize("run_1", complete=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def storage():
    """Provide the emulator."""
    with GoogleStorage().serving() as server:
        yield server


@pytest.fixture
def environ(storage) -> dict[str, str]:
    """Provide variables that locations refer to, with a folder of the test's own."""
    return storage.environment()


def context(environ, **changes) -> ConnectorContext:
    return ConnectorContext(Path(), Credentials({"env": EnvProvider({**environ, **changes})}))


async def test_a_key_that_google_does_not_know_is_refused_in_plain_words_without_it(environ):
    bucket_of(environ).put("in.csv", b"id\n1\n")
    other = account_of(RSAKey.generate_key(2048))
    for opened in (
        open_source(ExtractConfig(source=IN), context(environ, GCS_KEY=other)),
        open_destination(LoadConfig(destination=OUT, mode="replace"), context(environ, GCS_KEY=other)),
    ):
        with pytest.raises(AccessRefused, match=r"refused the keys.*service_account_key=\$\{GCS_KEY\}") as refused:
            await opened.check()
        told = f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"
        assert other[200:260] not in told


async def test_a_key_that_is_none_is_told_without_it(environ):
    with pytest.raises(ConfigurationError, match="settings cannot be used") as refused:
        await open_source(ExtractConfig(source=IN), context(environ, GCS_KEY='{"private_key": "planted"}')).check()
    assert "planted" not in f"{refused.value!r}{refused.value.__context__!r}"


async def test_an_object_that_changes_between_two_pages_is_noticed(environ):
    bucket = bucket_of(environ)
    bucket.put("in.csv", b"id\n1\n2\n")
    opened = open_source(ExtractConfig(source=IN), context(environ))
    page = await opened.read(None, 1)
    bucket.put("in.csv", b"id\n1\n3\n")
    with pytest.raises(SourceError, match=r"in\.csv changed while the run was reading it"):
        await opened.read(page.cursor, 1)


async def test_one_process_at_a_time_holds_the_lock_and_one_that_died_is_followed(environ, monkeypatch):
    await object_locks.one_at_a_time_holds_it_and_who_died_is_followed(bucket_of(environ), monkeypatch)


async def test_a_lock_that_was_taken_over_is_told(environ, monkeypatch):
    await object_locks.one_that_is_taken_over_is_told(bucket_of(environ), monkeypatch)


async def test_a_process_that_is_killed_while_it_loads_is_followed_by_one_that_loads_each_row_once(environ):
    def child(kill_after: int | None) -> int:
        command = [sys.executable, "-c", CHILD, OUT]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environ})
        assert process.stdout is not None
        if kill_after is not None:
            for _ in range(kill_after):
                process.stdout.readline()
            process.kill()
        process.communicate()
        return process.returncode

    assert [await asyncio.to_thread(child, each) for each in (9, None)] == [-9, 0]
    content = bucket_of(environ).content("out.parquet") or b""
    assert [int(each["id"]) for each in records_in("out.parquet", content)] == list(range(1000))
