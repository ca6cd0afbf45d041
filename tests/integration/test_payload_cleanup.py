"""Tests which payloads are removed, on SQLite and Postgres."""

import os
import time

import pytest
from sqlalchemy import text

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.ports.clock import SystemClock
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.run_rows import CANCELLED, FAILED, FAILURE_LIMIT, PARTIAL, PAUSED, RUNNING, SUCCEEDED
from loom_coordinator.sweeping.payload_cleanup import PayloadCleanup
from loom_quarantine.db import store
from support.quarantined import NOW, kept, message
from support.run_rows import add_run, begun_run

SET = "given_" + "a" * 32


@pytest.fixture
def payloads(tmp_path):
    return FolderPayloads(tmp_path / "payloads")


@pytest.fixture
def cleanup(engine, payloads):
    return PayloadCleanup(OutboxRelay(engine, MemoryBus(), SystemClock(), None), payloads)


async def left(cleanup, payloads):
    await cleanup.tidy()
    return sorted(await payloads.owners())


@pytest.mark.parametrize(
    ("status", "reason", "kept"),
    [
        (RUNNING, None, True),
        (PAUSED, None, True),
        (FAILED, None, True),
        (CANCELLED, None, True),
        (PARTIAL, FAILURE_LIMIT, True),
        (PARTIAL, "quality", False),
        (PARTIAL, None, False),
        (SUCCEEDED, None, False),
    ],
)
async def test_records_of_a_run_are_kept_as_long_as_it_can_be_resumed(engine, payloads, cleanup, status, reason, kept):
    await payloads.put(b"body", owner=SET)
    await payloads.put(b"body", owner="run_1")
    async with begun_run(engine, records=SET, status=status, reason=reason):
        pass
    ended = status in (FAILED, CANCELLED, PARTIAL, SUCCEEDED)
    assert await left(cleanup, payloads) == [*([SET] if kept else []), *([] if ended else ["run_1"])]


async def test_records_are_kept_for_a_replay_and_while_one_of_them_waits_for_a_replay(engine, payloads, cleanup):
    await payloads.put(b"body", owner=SET)
    async with begun_run(engine, records=SET, status=SUCCEEDED) as unit:
        await add_run(unit, run_id="run_2", records=SET, status=RUNNING, replay_of="run_1")
    assert await left(cleanup, payloads) == [SET]
    await changed(engine, "UPDATE pipeline_runs SET status = 'succeeded'")
    await store.keep(engine, message(kept("r1"), run_id="run_2"), NOW)
    assert await left(cleanup, payloads) == [SET]
    await changed(engine, "UPDATE quarantined_records SET resolved = true")
    assert await left(cleanup, payloads) == []


async def test_records_that_no_run_reads_are_kept_for_a_day(engine, payloads, cleanup, tmp_path):
    await payloads.put(b"body", owner=SET)
    folder = tmp_path / "payloads" / SET
    now = time.time()
    os.utime(folder, (now, now - 23 * 3600))
    assert await left(cleanup, payloads) == [SET]
    os.utime(folder, (now, now - 25 * 3600))
    assert await left(cleanup, payloads) == []


@pytest.mark.parametrize(("status", "kept"), [(RUNNING, True), (PAUSED, True), (FAILED, False), (SUCCEEDED, False)])
async def test_rows_for_python_are_kept_for_a_day_after_their_run(engine, payloads, cleanup, tmp_path, status, kept):
    owner = "kept_" + "a" * 32
    await payloads.put_first(b"rows", owner=owner, name="run_1.0.0.0")
    async with begun_run(engine, destination=f"loom-rows://{owner}", status=status):
        pass
    assert await left(cleanup, payloads) == [owner]
    now = time.time()
    os.utime(tmp_path / "payloads" / owner, (now, now - 25 * 3600))
    assert await left(cleanup, payloads) == ([owner] if kept else [])


async def changed(engine, statement):
    async with engine.begin() as connection:
        await connection.execute(text(statement))
