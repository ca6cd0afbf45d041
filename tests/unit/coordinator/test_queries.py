"""Read models over a state database in memory: no coordinator runs."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from sqlalchemy import insert

from loom_common.contracts.v1 import BatchFact, BatchHeader
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies, usage
from loom_coordinator.lifecycle import partitions
from loom_coordinator.queries import batches, cluster, lineage, pipelines, prefetch, records, run_details, runs
from loom_coordinator.queries.costs import over_run, paid
from loom_quarantine.db.tables import quarantined_records
from support.run_rows import NOW, add_run, apply, run_state, the_run

RUN = "run_1"
LOADED = Tally(extracted=5, transformed=5, passed=5, loaded=5)


def batch(position: int, stage: Stage, tally: Tally) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, position), partition=0, slice=0,
        position=position, tally=tally,
    )  # fmt: skip
    return BatchFact(header=header, stage=stage, seconds=0.1)


@pytest.fixture
async def unit():
    """Provide a run of an embedded engine with one batch that ended and one that is in flight."""
    async with run_state(owner="engine_1", params={"day": "2026-01-01"}) as unit:
        await apply(unit, batch(0, Stage.LOAD, LOADED), batch(1, Stage.TRANSFORM, Tally(extracted=5, transformed=5)))
        yield unit


@pytest.mark.parametrize(("alive", "status"), [(True, "running"), (False, "interrupted")])
async def test_a_run_whose_engine_is_gone_is_interrupted(unit, alive, status):
    [line] = await runs.history(unit.connection, "p", 10, lambda _owner: alive)
    assert line.status == status
    assert await runs.status(unit.connection, RUN, lambda _owner: alive) == status


async def test_a_run_that_has_not_ended_is_counted_from_its_batches(unit):
    [line] = await runs.history(unit.connection, "p", 10)
    assert (line.records_processed, line.records_validated) == (10, 5)
    assert line.duration_seconds is None


async def test_a_line_of_history_is_json_with_its_times_as_text(unit):
    [line] = await runs.history(unit.connection, "p", 10)
    document = json.loads(json.dumps(line.as_json()))
    assert (document["run_id"], document["started_at"]) == (RUN, "2026-01-02T03:04:05+00:00")


async def test_a_run_is_shown_with_its_report(unit):
    shown = await runs.shown(unit.connection, RUN)
    assert shown is not None
    document = json.loads(json.dumps(shown.as_json()))
    assert (document["records"]["extracted"], document["params"]) == (10, {"day": "2026-01-01"})


async def test_what_is_not_there_is_none_or_an_error_that_says_so(unit):
    assert await runs.shown(unit.connection, "run_2") is None
    assert await runs.status(unit.connection, "run_2") is None
    with pytest.raises(ConfigurationError, match="There is no run run_2"):
        await run_details.details(unit.connection, NOW, "run_2")


async def test_pipelines_have_their_newest_run(unit):
    await add_run(unit, run_id="run_2", started_at=NOW + dt.timedelta(hours=1), status="succeeded")
    [pipeline] = await pipelines.registered(unit.connection)
    assert (pipeline.name, pipeline.last_run, pipeline.last_status) == ("p", "run_2", "succeeded")
    assert await runs.number_of_runs(unit.connection, "p") == 2
    assert await runs.number_of_runs(unit.connection, "another") == 0
    assert await runs.number_of_runs(unit.connection, None) == 2
    assert await runs.number_of_runs(unit.connection, None, frozenset({"another"})) == 0
    assert await runs.history(unit.connection, None, 9, among=frozenset({"another"})) == []
    assert [(run.run_id, run.pipeline_name) for run in await runs.history(unit.connection, None, 1)] == [("run_2", "p")]


async def test_a_manifest_has_the_runs_of_a_pipeline_or_a_status(unit):
    await add_run(unit, run_id="run_2", started_at=NOW + dt.timedelta(hours=1), status="failed", requested_by="ann")

    async def found(pipeline=None, status=None, limit=None, *, alive=True):
        runs_found = await runs.manifest(unit.connection, pipeline, status, limit, lambda _owner: alive)
        return [run.report.run_id for run in runs_found]

    assert await found() == ["run_2", RUN]
    assert await found(limit=1) == ["run_2"]
    assert await found("another") == []
    assert (await found(status="failed"), await found(status="running")) == (["run_2"], [RUN])
    assert (await found(status="running", alive=False), await found(status="interrupted", alive=False)) == ([], [RUN])
    [newest] = await runs.manifest(unit.connection, limit=1)
    assert json.loads(json.dumps(newest.as_json()))["requested_by"] == "ann"


async def test_lineage_tells_of_replays(unit):
    run = await the_run(unit)
    await tallies.enter_lineage(unit, run, LOADED)
    await add_run(unit, run_id="run_2", replay_of=RUN, tally=Tally(extracted=2, loaded=2).model_dump())
    [line] = await lineage.of_pipeline(unit.connection, "p")
    assert (line.input_source, line.output_record_count) == ("in.csv", 5)
    assert [each.as_json() for each in line.replays] == [{"run_id": "run_2", "status": "running", "loaded": 2}]


async def test_costs_stand_on_the_day_they_were_paid(unit):
    calls = Calls(purpose="transform", provider="p", model="m", made=4, tokens_out=100, cost=0.5)
    await usage.book(unit, [(RUN, Stage.TRANSFORM, (calls,))])
    [day] = await paid.by_span(unit.connection, "p", "day")
    assert day.span == "2026-01-02"
    assert day.made == 4
    assert day.cost == 0.5
    assert day.cost_by_model == {"m": 0.5}
    assert day.runs == 0
    assert await paid.tokens_per_answer(unit.connection, "p") == {("transform", "m"): 25.0}


async def test_a_run_in_detail_says_how_far_it_is_and_how_fast(unit):
    details = await run_details.details(unit.connection, NOW + dt.timedelta(seconds=10), RUN)
    assert (details.batches.done, details.batches.in_flight) == (1, 1)
    assert (details.records_per_second, details.remaining, details.eta_seconds) == (0.5, 5, 10.0)
    assert {stage.stage: stage.batches_waiting for stage in details.stages}["evaluate"] == 1
    document = details.as_json()
    assert (document["run_id"], document["records"]["extracted"]) == (RUN, 10)


async def test_runs_are_listed_by_status(unit):
    await add_run(unit, run_id="run_2", status="failed")
    listed = await run_details.listing(unit.connection, NOW, ["failed"], None, 10)
    assert [line.run_id for line in listed] == ["run_2"]


@pytest.mark.parametrize(("silent", "found"), [(0.0, 1), (60.0, 1), (61.0, 0)])
async def test_batches_in_flight_are_found_by_their_silence(unit, silent, found):
    waiting = await batches.in_flight(unit.connection, NOW + dt.timedelta(seconds=60), RUN, silent, 10)
    assert len(waiting) == found
    assert all((each.waits_for, each.silent_seconds) == ("evaluate", 60.0) for each in waiting)


async def test_a_cluster_without_replicas_has_its_queues_and_runs(unit):
    ready = dict.fromkeys(("loom.dead", "loom.transform"), 0)
    seen = await cluster.overview(unit.connection, NOW, ready)
    assert (seen.runs, seen.replicas, seen.dead) == ({"running": 1}, [], 0)
    assert seen.oldest is not None
    assert seen.oldest.waits_for == "evaluate"
    assert {line.queue: line.ready for line in seen.queues}["loom.transform"] == 0
    assert await prefetch.limits(unit.connection, NOW) == []


async def test_a_record_that_nobody_scored_or_kept_back_has_nothing(unit):
    assert await records.scores(unit.connection, RUN, "a") == []
    assert await records.kept_counts(unit.connection, None, RUN) == []
    assert await records.last_kept(unit.connection, RUN) == []


async def test_when_a_record_was_kept_back_is_a_time_in_any_database(unit):
    await unit.connection.execute(
        insert(quarantined_records).values(
            run_id=RUN, record_id="a", record_data={}, pipeline_name="p", batch_id="b", outcome="rejected", code="gate",
            quarantined_at=NOW,
        )
    )  # fmt: skip
    [count] = await records.kept_counts(unit.connection, "p", None)
    [kept] = await records.last_kept(unit.connection, RUN)
    assert count.newest == kept.quarantined_at == NOW


def test_vectors_are_not_shown_as_what_a_model_answered():
    row = dict.fromkeys(("provider", "model", "tokens_in", "tokens_out", "cost", "latency_seconds", "created_at"), 0)
    body = '{"text": "[\\"AAAA\\"]", "finish_reason": "stop"}'
    shown = [records._answer({**row, "purpose": purpose, "body": body}).text for purpose in ("embed", "transform")]
    assert shown == ["(vectors)", '["AAAA"]']


async def test_the_course_of_a_run_adds_up_its_cost_and_tells_the_latency_of_each_part():
    async with run_state() as unit:
        for position, (cost, bucket) in enumerate([(0.5, 10), (0.25, 20), (0.25, 30)]):
            fact = batch(position, Stage.TRANSFORM, Tally(extracted=5, transformed=5))
            paid_for = Calls(purpose="transform", provider="openai", model="m", made=1, cost=cost)
            unit.now = NOW + dt.timedelta(seconds=10 * position)
            await apply(unit, fact.model_copy(update={"latency": {bucket: 5}, "calls": (paid_for,)}))
        course = await over_run.over_time(unit.connection, RUN, NOW, 4)
        assert await over_run.over_time(unit.connection, "run_2", NOW, 4) == []
    assert [(each.until - NOW).total_seconds() for each in course] == [5, 10, 15, 20]
    assert [each.cost for each in course] == [0.5, 0.5, 0.75, 1.0]
    assert [each.latency is None for each in course] == [False, True, False, False]
    assert course[0].latency < course[2].latency < course[3].latency


async def test_a_run_that_goes_on_is_told_what_it_needs_to_be_done_in_time(unit):
    [line] = await cluster.scale_advice(unit.connection, NOW, {})
    assert (line.run_id, line.remaining) == (RUN, 5)
    assert line.advice.words == "Nothing to reckon with: no transformer is up."
    await partitions.begin(unit, RUN, None)
    [line] = await cluster.scale_advice(unit.connection, NOW, {})
    assert (line.remaining, "not known before its source is read" in line.advice.words) == (None, True)
