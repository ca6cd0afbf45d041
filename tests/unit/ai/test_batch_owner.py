"""Tests what becomes of errors of the code that looks after batches."""

from __future__ import annotations

import asyncio
import datetime as dt
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from loom_ai.batches.execution import BatchExecution
from loom_ai.batches.owner import Owner
from loom_ai.batches.requests.values import Request, Standing
from loom_ai.ports import Payer
from loom_ai.settings import BatchSettings
from loom_common.errors import AnswersPending, DependencyUnavailable
from loom_common.ports.clock import SystemClock
from support.scripted_model import call_of

CALL = call_of(provider="openai", batch_deadline=3600.0)


def looked_after(**places):
    """Return an execution for a request that waits already, and the store; `places` says how asking for them goes."""
    now = dt.datetime.now(dt.UTC)
    waits = Request("key", "run_1", "r1", "place", CALL, now, now + dt.timedelta(hours=1))
    store = SimpleNamespace(
        find=AsyncMock(return_value={"key": waits}),
        standing=AsyncMock(return_value=Standing()),
        places=AsyncMock(**places),
        disown=AsyncMock(),
        close=AsyncMock(),
    )
    clock, settings = SystemClock(), BatchSettings(gather_seconds=0.1)
    sessions = SimpleNamespace(close=AsyncMock())
    return BatchExecution(store, lambda: Owner(store, None, None, sessions, clock, settings)), store


async def test_an_error_that_nobody_expects_is_told_to_the_next_record_that_asks():
    execution, store = looked_after(side_effect=[KeyError("a fault of Loom"), []])
    for error in (AnswersPending, KeyError, AnswersPending):
        with pytest.raises(error):
            await execution.obtain("key", CALL, Payer("run_1", "r1"), None)
        if execution._owning is not None:
            await asyncio.wait({execution._owning})
    assert store.places.await_count == 2
    await execution.close()


async def test_a_store_that_is_away_is_asked_again():
    execution, store = looked_after(side_effect=[DependencyUnavailable("away"), []])
    with pytest.raises(AnswersPending):
        await execution.obtain("key", CALL, Payer("run_1", "r1"), None)
    await execution._owning
    assert store.places.await_count == 2
    await execution.close()
