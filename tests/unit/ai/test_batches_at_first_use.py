"""Tests when a process opens what has calls answered by the batches of their providers."""

from __future__ import annotations

from unittest.mock import AsyncMock, Mock

from loom_ai.batches.execution import BatchExecution
from loom_ai.batches.first_use import BatchesAtFirstUse
from loom_ai.ports import ModelCall, Payer
from loom_common.contracts.v1 import RunEpoch

CALL = ModelCall("gpt-4o-mini", (), "http://127.0.0.1", batch_deadline=3600.0)
PAYER = Payer("run_1", "r1")


def opening():
    """Return batches that are opened at their first use, what opens them, and what is opened."""
    execution = AsyncMock(spec=BatchExecution)
    open_execution = Mock(return_value=execution)
    return BatchesAtFirstUse(open_execution), open_execution, execution


async def test_a_process_that_is_asked_for_no_batch_opens_nothing():
    batches, open_execution, _ = opening()
    await batches.close()
    open_execution.assert_not_called()


async def test_what_is_asked_and_answered_comes_to_one_execution_that_is_closed_at_the_end():
    batches, open_execution, execution = opening()
    execution.obtain.return_value = CALL
    assert await batches.obtain("key", CALL, PAYER, 60.0) is CALL
    await batches.answered("key")
    await batches.close()
    execution.obtain.assert_awaited_once_with("key", CALL, PAYER, 60.0, ())
    execution.answered.assert_awaited_once_with("key")
    execution.close.assert_awaited_once_with()
    open_execution.assert_called_once_with()


async def test_a_run_that_was_cancelled_is_heard_of_where_no_batch_was_asked_for_yet():
    batches, _, execution = opening()
    said = RunEpoch(run_id="run_1", epoch=2, cancelled=True)
    await batches.hear(said)
    execution.hear.assert_awaited_once_with(said)
