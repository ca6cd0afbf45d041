"""Tests when the end of a run that is cut short is told: its report then holds what is on the books."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import (
    BatchFact,
    BatchHeader,
    LoadFinalized,
    RecordsKept,
    RunFinished,
    StageFailed,
)
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import apply_facts, run_commands
from loom_coordinator.lifecycle import completion, run_ends
from loom_quarantine.db.tables import quarantined_records
from support.run_rows import DEFINITION, NOW, run_state, sent, the_run

RUN = "run_1"
BATCH = batch_id(RUN, 0, 0, 0)
APPENDING = {**DEFINITION, "load": {"destination": "out.csv", "mode": "append"}}
KEPT = Tally(extracted=5, quarantined=5)
STAGED = Tally(extracted=5, transformed=5, passed=5, loaded=5, staged=5)
FAILED = StageFailed(run_id=RUN, epoch=1, stage=Stage.TRANSFORM, reason="no such model")


def ended_batch(tally: Tally) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=BATCH, partition=0, slice=0, position=0, tally=tally
    )
    return BatchFact(header=header, stage=Stage.LOAD, seconds=0.1)


def stored(kept: int) -> RecordsKept:
    return RecordsKept(run_id=RUN, batch_id=BATCH, kept=kept)


async def quarantine(unit: UnitOfWork, record_id: str, reason: str) -> None:
    """Store a record that the transform kept back, as the quarantine does."""
    place = {"run_id": RUN, "pipeline_name": "p", "batch_id": BATCH, "failure_stage": "transform"}
    known = {"record_id": record_id, "record_data": {"id": record_id}, "failure_reason": reason}
    await unit.connection.execute(
        quarantined_records.insert().values(**place, **known, outcome="quarantined", code="error")
    )


async def told(unit: UnitOfWork, *facts) -> list[RunFinished]:
    """Take facts; return the ends that were told until then."""
    await apply_facts.take(unit, facts)
    return sent(unit, RunFinished)


async def test_the_end_waits_for_the_quarantine_and_has_its_reasons():
    async with run_state() as unit:
        assert await told(unit, ended_batch(KEPT), FAILED) == []
        assert (await the_run(unit)).status == "failed"  # the work stops at once
        assert await told(unit, stored(2)) == []
        await quarantine(unit, "a", "bad")
        [finished] = await told(unit, stored(5))
        assert [each.reason for each in finished.report.reasons] == ["bad"]
        assert (finished.report.records["quarantined"], finished.epoch) == (5, 2)


async def test_the_end_comes_at_once_where_the_quarantine_was_quicker():
    async with run_state() as unit:
        assert len(await told(unit, stored(5), ended_batch(KEPT), FAILED)) == 1


@pytest.mark.parametrize("end", [completion.cancel, completion.stop, completion.fail])
async def test_the_end_waits_for_the_loader_and_counts_what_can_be_read(end):
    async with run_state(definition=APPENDING) as unit:
        await apply_facts.take(unit, [ended_batch(STAGED)])
        run = await the_run(unit)
        await (end(unit, run) if end is completion.cancel else end(unit, run, "no more"))
        assert sent(unit, RunFinished) == []
        [finished] = await told(unit, LoadFinalized(run_id=RUN, epoch=2, location="out.csv"))
        assert (finished.report.records["loaded"], finished.report.records["staged"]) == (5, 0)


async def test_a_loader_that_cannot_finalize_has_answered():
    async with run_state(definition=APPENDING) as unit:
        assert await told(unit, ended_batch(STAGED), FAILED) == []
        [finished] = await told(unit, StageFailed(run_id=RUN, epoch=2, stage=Stage.LOAD, reason="no such folder"))
        assert (finished.report.error, finished.report.records["staged"]) == ("transform: no such model", 5)


async def test_an_answer_to_an_earlier_question_is_not_waited_for_alone():
    async with run_state(definition=APPENDING) as unit:
        await apply_facts.take(unit, [ended_batch(STAGED), FAILED])
        assert await told(unit, LoadFinalized(run_id=RUN, epoch=1, location="out.csv")) == []


async def test_a_quarantine_that_is_away_holds_the_end_up_for_some_seconds_only():
    async with run_state() as unit:
        await apply_facts.take(unit, [ended_batch(KEPT), FAILED])
        assert await run_ends.overdue(unit) == []
        later = UnitOfWork(unit.connection, NOW + run_ends.PATIENCE, None)
        assert await run_ends.overdue(later) == [RUN]
        await run_ends.tell_where_complete(later, RUN)
        [finished] = sent(later, RunFinished)
        assert (finished.report.status, finished.report.reasons) == ("failed", ())
        assert await run_ends.overdue(later) == []


async def test_the_end_is_told_once():
    async with run_state() as unit:
        await apply_facts.take(unit, [stored(5), ended_batch(KEPT), FAILED])
        assert len(await told(unit, stored(5), ended_batch(KEPT))) == 1


async def test_a_run_that_goes_on_has_no_end_to_be_told():
    async with run_state() as unit:
        await apply_facts.take(unit, [ended_batch(KEPT), FAILED])
        await run_commands.resume(unit, await the_run(unit))
        later = UnitOfWork(unit.connection, NOW + 2 * run_ends.PATIENCE, None)
        assert await run_ends.overdue(later) == []
        assert (await the_run(unit)).tell_by is None
