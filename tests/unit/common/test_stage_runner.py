"""Tests that one record harms no others: the limits that a stage's work runs within, in their order."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import DependencyUnavailable, PermanentError, Timeout
from loom_common.flow import Stage
from loom_common.user_code.poison_isolation import USER_CODE, Isolation
from loom_common.user_code.stage_runner import KEPT_READY, StageRunner, Work
from support.clocks import ManualClock
from support.plans import GivenPlans, plan_of


@dataclass(frozen=True)
class Record:
    id: str


RECORDS = [Record("ann"), Record("ben"), Record("cid")]


def work_of(attempt, **changes) -> Work[Record, str]:
    fields = {
        "attempt": attempt,
        "failed": lambda outcome: outcome.endswith("failed"),
        "joined": lambda earlier, later: f"{earlier}, {later}",
        "kept_away": lambda record, error: f"{record.id} {error.code}",
        "risk": None,
        "max_attempts": 1,
        "seconds": 60.0,
    }
    return Work(**{**fields, **changes})


def runner_of(*plans, make=lambda plan: plan.hash, marks=None) -> StageRunner:
    return StageRunner(GivenPlans(*plans), make, Isolation(marks or MemoryMarks(), Stage.TRANSFORM))


async def run(work, *, clock=None, attempt=None, marks=None):
    runner = runner_of(marks=marks)
    return await runner.run("b1", RECORDS, work, attempt or Attempt(), clock or ManualClock())


async def test_a_plans_value_is_made_once_and_in_a_thread():
    plan, made = plan_of({"type": "passthrough"}), []

    def make(plan):
        made.append(threading.current_thread())
        return object()

    runner = runner_of(plan, make=make)
    found = await asyncio.gather(*(runner.of(plan.hash) for _ in range(3)))
    assert len({id(value) for _, value in found}) == 1
    assert [thread is threading.main_thread() for thread in made] == [False]


async def test_the_values_of_the_last_plans_alone_are_kept():
    plans = [plan_of({"type": "passthrough"}, {"f": str(number)}) for number in range(KEPT_READY + 1)]
    made = []
    runner = runner_of(*plans, make=lambda plan: made.append(plan.hash))
    for plan in (*plans, plans[-1], plans[0]):
        await runner.of(plan.hash)
    assert made == [*(plan.hash for plan in plans), plans[0].hash]


async def test_a_value_that_cannot_be_made_is_tried_again_with_the_next_batch():
    plan, left = plan_of({"type": "passthrough"}), [PermanentError("no such function")]

    def make(_):
        if left:
            raise left.pop()
        return "made"

    runner = runner_of(plan, make=make)
    with pytest.raises(PermanentError, match="no such function"):
        await runner.of(plan.hash)
    assert await runner.of(plan.hash) == (plan, "made")


async def test_only_records_that_failed_are_tried_again_and_their_outcomes_joined():
    clock, seen = ManualClock(), []

    async def attempt(records, again):
        seen.append(([record.id for record in records], again))
        return [f"{record.id} {'failed' if record.id == 'ben' and not again else 'done'}" for record in records]

    assert await run(work_of(attempt, max_attempts=3), clock=clock) == ["ann done", "ben failed, ben done", "cid done"]
    assert seen == [(["ann", "ben", "cid"], 0), (["ben"], 1)]
    assert len(clock.slept) == 1


async def test_an_error_that_nobody_foresaw_is_narrowed_to_its_record():
    async def attempt(records, again):
        if any(record.id == "ben" for record in records):
            raise ZeroDivisionError
        return [f"{record.id} done" for record in records]

    assert await run(work_of(attempt)) == ["ann done", "ben internal_error", "cid done"]


async def test_a_verdict_about_more_than_a_record_is_raised():
    async def attempt(records, again):
        raise DependencyUnavailable("away")

    with pytest.raises(DependencyUnavailable, match="away"):
        await run(work_of(attempt))


async def test_a_batch_that_takes_too_long_names_the_setting():
    async def attempt(records, again):
        await asyncio.Event().wait()

    with pytest.raises(Timeout, match=r"A batch of 3 records took longer than 0.01 s; see `timeouts.batch`"):
        await run(work_of(attempt, seconds=0.01))


async def test_a_batch_that_was_delivered_again_and_again_is_taken_record_by_record():
    calls = []

    async def attempt(records, again):
        calls.append([record.id for record in records])
        return [f"{record.id} done" for record in records]

    await run(work_of(attempt, risk=USER_CODE), attempt=Attempt(redelivered=5))
    assert calls == [["ann"], ["ben"], ["cid"]]


async def test_work_without_a_risk_leaves_no_marks():
    class NoMarks(MemoryMarks):
        async def begin(self, batch, mark):
            raise AssertionError("nothing is marked")

    async def attempt(records, again):
        return [f"{record.id} done" for record in records]

    assert await run(work_of(attempt), marks=NoMarks()) == ["ann done", "ben done", "cid done"]
