"""Tests objects of Google's store against an emulator of its XML interface: tokens are checked, changes are noticed by
an object's generation, and a process that is killed is followed by one that loads each row once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import obstore
import pytest
from joserfc.jwk import RSAKey

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from loom_connectors.storage.objects import lock
from loom_connectors.storage.objects.lock import ObjectLock
from loom_dev.emulators.google_storage import GoogleStorage, account_of
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
    store = bucket_of(environ).store
    inside, most, done = [0], [0], []

    def work() -> None:
        for _ in range(3):
            with ObjectLock(store, f"root-{threading.get_ident()}", "lock").held():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1
                done.append(1)

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
    assert (most[0], len(done)) == (1, 12)
    obstore.put(store, "lock", b"of a process that died")
    monkeypatch.setattr(lock, "LEASE", 0.5)
    with ObjectLock(store, "root", "lock").held():
        assert bucket_of(environ).content("lock") != b"of a process that died"
    assert bucket_of(environ).content("lock") is None


async def test_a_lock_that_was_taken_over_is_told(environ, monkeypatch):
    store = bucket_of(environ).store
    monkeypatch.setattr(lock, "LEASE", 0.4)
    noticed = ObjectLock(store, "root", "lock")
    with pytest.raises(DependencyUnavailable, match="taken over"), noticed.held():
        obstore.put(store, "lock", b"of another")
        while not noticed.is_lost:
            await asyncio.sleep(0.02)
    assert bucket_of(environ).content("lock") == b"of another"


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
