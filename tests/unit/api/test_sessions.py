"""Tests what becomes of errors of the engine that the API holds: somebody is told of each."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from loom_api.running.sessions import Sessions


class Engine:
    async def checkpoint(self) -> list[str]:
        return ["run_1"]


@asynccontextmanager
async def not_opened():
    raise RuntimeError("no room")
    yield Engine()


@asynccontextmanager
async def not_closed():
    yield Engine()
    raise RuntimeError("the disk is full")


async def test_who_asks_first_for_an_engine_that_cannot_be_opened_gets_the_error():
    with pytest.raises(RuntimeError, match="no room"):
        await Sessions(not_opened).session()


async def test_an_engine_that_fails_while_it_is_closed_is_told_of_with_its_error():
    sessions = Sessions(not_closed)
    await sessions.session()
    with capture_logs() as logged:
        assert await sessions.close() == ["run_1"]
    assert [(each["log_level"], each["error"]) for each in logged] == [("error", "the disk is full")]
