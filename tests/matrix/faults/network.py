"""What can happen between the services and what they stand on. Needs an arena behind proxies."""

from __future__ import annotations

import asyncio
from typing import Literal

from matrix.arena import HEARTBEAT_SECONDS
from matrix.trial import Trial
from support.cluster import MODEL_CALLS_AT_ONCE
from support.proxy import Proxy

_SLOW_SECONDS = 0.5
_SLOW_FOR = 10.0
Towards = Literal["broker", "database"]


def _proxy(trial: Trial, towards: Towards) -> Proxy:
    proxy = trial.arena.broker_proxy if towards == "broker" else trial.arena.database_proxy
    assert proxy is not None
    return proxy


async def reset(trial: Trial, towards: Towards) -> None:
    """Every connection is broken, three times in a row."""
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    for _ in range(3):
        _proxy(trial, towards).reset()
        await asyncio.sleep(trial.chance.uniform(0.2, 2))


async def black_hole(trial: Trial, towards: Towards) -> None:
    """Nothing arrives for longer than the heartbeat; connections that lost anything stay silent for ever."""
    await trial.begin()
    await trial.midway()
    trial.repeatable_calls = MODEL_CALLS_AT_ONCE
    trial.struck()
    proxy = _proxy(trial, towards)
    proxy.swallow()
    await asyncio.sleep(2 * HEARTBEAT_SECONDS)
    proxy.let_through()


async def slow(trial: Trial, towards: Towards) -> None:
    """Half a second each way, for ten seconds."""
    await trial.begin()
    await trial.midway()
    trial.struck()
    proxy = _proxy(trial, towards)
    proxy.delay = _SLOW_SECONDS
    await asyncio.sleep(_SLOW_FOR)
    proxy.delay = 0.0
