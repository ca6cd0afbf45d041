"""Tests when what handles the messages of a stage is opened, told and closed."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from loom_common.contracts.v1 import RunEpoch
from loom_common.service.stage_service import Handling, LateHandling

SAID = RunEpoch(run_id="run_1", epoch=2, cancelled=True)


class Stage:
    """Notes what becomes of it."""

    def __init__(self):
        self.events = []

    def open(self):
        self.events.append("opened")
        return Handling(self.handle, self.closing, self.hear)

    async def handle(self, message, context):
        self.events.append(f"handled {message} with {context}")
        return "result"

    async def hear(self, said):
        self.events.append(f"heard {said.run_id}")

    @asynccontextmanager
    async def closing(self):
        self.events.append("begun")
        try:
            yield
        finally:
            self.events.append("closed")


@pytest.fixture
def stage():
    return Stage()


async def test_it_is_opened_with_the_first_message_and_closed_at_the_end(stage):
    late = LateHandling(stage.open, at_once=False)
    async with late.closing():
        assert stage.events == []
        assert [await late.handle(number, "context") for number in (1, 2)] == ["result", "result"]
    assert stage.events == ["opened", "handled 1 with context", "handled 2 with context", "begun", "closed"]


async def test_what_was_not_opened_is_not_closed(stage):
    async with LateHandling(stage.open, at_once=False).closing():
        pass
    assert stage.events == []


async def test_it_is_opened_for_a_run_that_was_cancelled_before_a_message_came(stage):
    """The batches of the run may wait at a provider, and are cancelled there."""
    late = LateHandling(stage.open, at_once=False)
    async with late.closing():
        await late.hear(SAID)
    assert stage.events == ["opened", "heard run_1", "begun", "closed"]


async def test_a_process_of_a_cluster_opens_it_at_its_start_and_closes_it_where_an_error_ends_it(stage):
    late = LateHandling(stage.open, at_once=True)
    assert stage.events == ["opened"]
    with pytest.raises(OSError, match="away"):
        async with late.closing():
            assert stage.events == ["opened", "begun"]
            raise OSError("away")
    assert stage.events == ["opened", "begun", "closed"]
