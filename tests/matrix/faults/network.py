"""Injects faults of the network between the services and the broker or the database. They need a proxied cluster."""

from __future__ import annotations

import asyncio
from typing import Literal

from matrix.attempt import Attempt
from matrix.cluster_under_test import HEARTBEAT_SECONDS
from support.cluster import MODEL_CALLS_AT_ONCE
from support.proxy import Proxy

_SLOW_SECONDS = 0.5
_SLOW_FOR = 10.0
Towards = Literal["broker", "database"]


def _proxy(attempt: Attempt, towards: Towards) -> Proxy:
    proxy = attempt.system.broker_proxy if towards == "broker" else attempt.system.database_proxy
    assert proxy is not None
    return proxy


async def reset(attempt: Attempt, towards: Towards) -> None:
    """Break every connection, three times in a row."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    for _ in range(3):
        _proxy(attempt, towards).reset()
        await asyncio.sleep(attempt.chance.uniform(0.2, 2))


async def black_hole(attempt: Attempt, towards: Towards) -> None:
    """Drop all data for longer than the heartbeat. Connections that lost data never recover."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.repeatable_calls = MODEL_CALLS_AT_ONCE
    attempt.fault_begins()
    proxy = _proxy(attempt, towards)
    proxy.swallow()
    await asyncio.sleep(2 * HEARTBEAT_SECONDS)
    proxy.let_through()


async def slow(attempt: Attempt, towards: Towards) -> None:
    """Delay data by half a second each way, for ten seconds."""
    await attempt.begin()
    await attempt.wait_until_midway()
    attempt.fault_begins()
    proxy = _proxy(attempt, towards)
    proxy.delay = _SLOW_SECONDS
    await asyncio.sleep(_SLOW_FOR)
    proxy.delay = 0.0
