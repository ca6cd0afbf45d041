"""Tests the end of a run: its status, what is counted, and what the loader is asked."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_common.contracts.v1 import BatchFact, BatchHeader, FinalizeLoad, LoadFinalized, RecordsKept
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.lifecycle import completion
from support.run_rows import DEFINITION, NOW, apply, run_state, sent, the_run

RUN = "run_1"
APPENDING = {**DEFINITION, "load": {"destination": "out.csv", "mode": "append"}}
WHOLE = Tally(extracted=5, transformed=5, passed=5, loaded=5)
STAGED = WHOLE.plus(staged=5)
LOST = Tally(extracted=5, quarantined=5)


async def count(unit, tally: Tally) -> None:
    """One batch of the run came to its end with this tally, and the quarantine has what was kept back of it."""
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, 0), partition=0, slice=0,
        position=0, tally=tally,
    )  # fmt: skip
    kept = [RecordsKept(run_id=RUN, batch_id=header.batch_id, kept=tally.kept)] if tally.kept else []
    await apply(unit, BatchFact(header=header, stage=Stage.LOAD, seconds=0.1), *kept)


@pytest.mark.parametrize(
    ("tally", "status", "finalizing", "keep"),
    [
        pytest.param(WHOLE, "running", True, False, id="all loaded"),
        pytest.param(Tally(extracted=5, rejected=5), "running", True, True, id="all rejected"),
        pytest.param(LOST, "failed", False, None, id="nothing loaded for errors"),
    ],
)
async def test_a_run_with_nothing_in_flight_is_judged(tally, status, finalizing, keep):
    async with run_state() as unit:
        await count(unit, tally)
        await completion.finalize_if_ended(unit, await the_run(unit))
        run, asked = await the_run(unit), sent(unit, FinalizeLoad)
    assert (run.status, run.finalizing) == (status, finalizing)
    assert [each.keep for each in asked] == ([] if keep is None else [keep])


async def test_a_run_with_a_batch_in_flight_goes_on():
    async with run_state() as unit:
        header = BatchHeader(
            run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id="b", partition=0, slice=0, position=0,
            tally=Tally(extracted=5, transformed=5),
        )  # fmt: skip
        await apply(unit, BatchFact(header=header, stage=Stage.TRANSFORM, seconds=0.1))
        await completion.finalize_if_ended(unit, await the_run(unit))
        assert (sent(unit, FinalizeLoad), (await the_run(unit)).status) == ([], "running")


async def test_the_loader_is_asked_once():
    async with run_state() as unit:
        await count(unit, WHOLE)
        for _ in range(2):
            await completion.finalize_if_ended(unit, await the_run(unit))
        assert len(sent(unit, FinalizeLoad)) == 1


@pytest.mark.parametrize(
    ("tally", "kept", "status"),
    [
        pytest.param(WHOLE, False, "succeeded", id="all loaded"),
        pytest.param(Tally(extracted=5, rejected=5), False, "partial", id="all rejected"),
        pytest.param(Tally(), True, "partial", id="an older result was left"),
    ],
)
async def test_the_loader_s_answer_gives_a_run_its_status(tally, kept, status):
    async with run_state() as unit:
        await count(unit, tally)
        finalized = LoadFinalized(run_id=RUN, epoch=1, location="there.csv", kept=kept)
        await completion.succeed(unit, await the_run(unit), finalized)
        run = await the_run(unit)
    assert run.status == status
    assert run.destination == "there.csv"
    assert run.completed_at == NOW
    assert run.finalizing is False
    assert run.tally is not None
    assert run.tally.balanced


@pytest.mark.parametrize(
    ("definition", "tally", "status", "loaded"),
    [
        pytest.param(APPENDING, STAGED, "partial", 0, id="a run that adds has written something"),
        pytest.param(DEFINITION, WHOLE, "partial", 5, id="what can be read stays"),
        pytest.param(DEFINITION, STAGED, "failed", 0, id="a replacing run has nothing in place"),
        pytest.param(DEFINITION, LOST, "failed", 0, id="nothing was loaded"),
    ],
)
async def test_a_run_that_passed_a_limit_is_partial_where_records_are_loaded(definition, tally, status, loaded):
    async with run_state(definition=definition) as unit:
        await count(unit, tally)
        await completion.stop(unit, await the_run(unit), "too many failed")
        run = await the_run(unit)
    assert (run.status, run.reason, run.error_message) == (status, "failure_limit", "too many failed")
    assert run.tally is not None
    assert run.tally.loaded == loaded


@pytest.mark.parametrize(("end", "status", "drop"), [(completion.cancel, "cancelled", True), (None, "failed", False)])
async def test_the_end_before_its_time_raises_the_epoch_and_asks_the_loader(end, status, drop):
    async with run_state() as unit:
        await count(unit, STAGED)
        run = await the_run(unit)
        await (end(unit, run) if end else completion.fail(unit, run, "cannot go on"))
        run = await the_run(unit)
        [asked] = sent(unit, FinalizeLoad)
    assert (run.status, run.epoch, run.finalizing) == (status, 2, True)
    assert (asked.complete, asked.drop, asked.epoch) == (False, drop, 2)
    assert run.tally is not None
    assert run.tally.staged == (0 if drop else 5)


@pytest.mark.parametrize(("deadline", "late"), [(None, False), (NOW + dt.timedelta(seconds=1), False), (NOW, True)])
async def test_a_run_whose_time_is_over_fails_and_says_so(deadline, late):
    async with run_state(deadline=deadline, notice="the model is away.") as unit:
        assert await completion.late(unit, await the_run(unit)) is late
        run = await the_run(unit)
    assert run.status == ("failed" if late else "running")
    assert ("At its end, the model is away." in (run.error_message or "")) is late


async def test_the_command_that_an_error_names_can_be_typed_as_it_stands():
    async with run_state() as unit:
        await completion.fail(unit, await the_run(unit), "Nothing was lost: go on with `loom resume`.")
        assert (await the_run(unit)).error_message == f"Nothing was lost: go on with `loom resume {RUN}`."


async def test_a_batch_that_ends_after_a_run_is_counted_with_it():
    async with run_state(definition=APPENDING) as unit:
        await completion.cancel(unit, await the_run(unit))
        await count(unit, WHOLE)
        told = LoadFinalized(run_id=RUN, epoch=2, location="out.csv")
        await completion.correct(unit, await the_run(unit), [told])
        run = await the_run(unit)
    assert run.tally is not None
    assert (run.status, run.tally.loaded, run.records_processed) == ("cancelled", 5, 5)


async def test_facts_after_a_success_correct_nothing():
    async with run_state() as unit:
        await count(unit, WHOLE)
        await completion.succeed(unit, await the_run(unit), LoadFinalized(run_id=RUN, epoch=1, location="out.csv"))
        before = await the_run(unit)
        await completion.correct(unit, before, [LoadFinalized(run_id=RUN, epoch=1, location="x", placed=False)])
        assert await the_run(unit) == before
