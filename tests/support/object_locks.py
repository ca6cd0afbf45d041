"""Checks what a lock in a bucket promises, in whichever store it lies."""

from __future__ import annotations

import asyncio
import threading

import obstore
import pytest

from loom_common.errors import DependencyUnavailable
from loom_connectors.storage.objects import lock
from loom_connectors.storage.objects.lock import ObjectLock
from loom_dev.waiting import within


async def one_at_a_time_holds_it_and_who_died_is_followed(bucket, monkeypatch) -> None:
    store = bucket.store
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
        assert bucket.content("lock") != b"of a process that died"
    assert bucket.content("lock") is None


async def one_that_is_taken_over_is_told(bucket, monkeypatch) -> None:
    store = bucket.store
    monkeypatch.setattr(lock, "LEASE", 0.4)
    noticed = ObjectLock(store, "root", "lock")
    with pytest.raises(DependencyUnavailable, match="taken over"), noticed.held():
        obstore.put(store, "lock", b"of another")
        async with within(30, "a lock that is lost"):
            while not noticed.is_lost:
                await asyncio.sleep(0.02)
    assert bucket.content("lock") == b"of another"
