"""Tests what the coordinator counts for Prometheus: what is committed, once, in a limited number of series."""

from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client import generate_latest as as_text
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families

from loom_common.contracts.v1 import BatchFact, BatchHeader, Evaluation, LoadFinalized, SlicedBatch, SliceExtracted
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_common.ports.tracing import SpanReference
from loom_common.service.metrics import reading_families
from loom_common.worker.consuming.stats import Distribution, Reading
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.pipeline_metrics import (
    CALLS,
    COST,
    DURATION,
    MOST_SERIES,
    OTHERS,
    RECORDS,
    RUNS,
    SCORE,
    Observation,
    PipelineMetrics,
    nothing_yet,
)
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import partitions, slices
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from support.run_rows import NOW, begun_run, run_state, the_run

RUN = "run_1"
EVALUATED = Tally(extracted=5, transformed=5, passed=4, rejected=1)


def fact(stage: Stage, tally: Tally, **more) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, 0), partition=0, slice=0,
        position=0, tally=tally,
    )  # fmt: skip
    return BatchFact(header=header, stage=stage, seconds=0.1, **more)


def facts() -> list:
    made = (SlicedBatch(batch_id=batch_id(RUN, 0, 0, 0), position=0, tally=Tally(extracted=5)),)
    sliced = SliceExtracted(run_id=RUN, pipeline="p", epoch=1, partition=0, slice=0, batches=made, cursor=1, end=True)
    calls = (Calls(purpose="evaluate", provider="openai", model="m", made=5, reused=2, tokens_in=9, cost=0.5),)
    scores = tuple(
        Evaluation(record_id=str(number), name="fit", score=score, passed=True)
        for number, score in enumerate([0.2, 0.9, 0.9, None])
    )
    return [
        sliced,
        fact(Stage.TRANSFORM, Tally(extracted=5, transformed=5)),
        fact(Stage.EVALUATE, EVALUATED, evaluations=scores, calls=calls),
        fact(Stage.LOAD, EVALUATED.plus(loaded=4)),
    ]


@pytest.fixture
async def unit():
    async with run_state() as unit:
        await partitions.begin(unit, RUN, None)
        await slices.release(unit, await the_run(unit))
        yield unit


def counted(unit: UnitOfWork) -> dict[tuple[str, ...], float]:
    sums: Counter = Counter()
    for each in unit.observed:
        sums[(each.metric, *each.labels)] += each.value
    return dict(sums)


@pytest.mark.parametrize("together", [True, False], ids=["in one group", "one by one"])
@pytest.mark.parametrize("backwards", [True, False], ids=["in reverse order", "in order"])
async def test_facts_that_come_three_times_in_any_order_count_once(unit, together, backwards):
    told = facts()[::-1] if backwards else facts()
    for _ in range(3):
        for group in [told] if together else [[each] for each in told]:
            await apply_facts.take(unit, group)

    seen = counted(unit)
    assert {key[2]: seen[key] for key in seen if key[0] == RECORDS} == {
        "extract": 5, "transform": 5, "evaluate": 4, "load": 4,
    }  # fmt: skip
    assert sorted(each.value for each in unit.observed if each.metric == SCORE) == [0.2, 0.9, 0.9]
    assert (seen[CALLS, "m", "evaluate", "yes"], seen[CALLS, "m", "evaluate", "no"], seen[COST, "p"]) == (5, 2, 0.5)


async def test_a_run_counts_at_its_end(unit):
    await apply_facts.take(unit, facts())
    assert (RUNS, "p", "partial") not in counted(unit)
    await apply_facts.take(unit, [LoadFinalized(run_id=RUN, epoch=1, location="out.csv")])
    seen = counted(unit)
    assert (seen[RUNS, "p", "succeeded"], seen[DURATION, "p"]) == (1, 0)


async def test_nothing_is_counted_for_an_embedded_engine_because_nobody_reads_it():
    unit = UnitOfWork(None, NOW, "engine 1")  # type: ignore[arg-type]  # it is not used
    unit.observe(RUNS, "p", "failed")
    assert unit.observed == []


async def test_what_is_rolled_back_is_not_counted():
    class Clock:
        def now(self):
            return NOW

    engine = open_engine("sqlite:///:memory:")
    await upgrade(engine)
    async with begun_run(engine):
        pass
    metrics = PipelineMetrics()
    outbox = OutboxRelay(engine, None, Clock(), None, metrics)  # type: ignore[arg-type]  # nothing is relayed
    with pytest.raises(ZeroDivisionError):
        async with outbox.unit() as unit:
            unit.observe(RUNS, "p", "failed")
            raise ZeroDivisionError
    assert metrics.readings() == []
    async with outbox.unit() as unit:
        unit.observe(RUNS, "p", "failed")
    assert [each.labels for each in metrics.readings()] == [{"pipeline_name": "p", "status": "failed"}]
    await engine.dispose()


def test_names_from_users_beyond_the_limit_count_together():
    metrics = PipelineMetrics()
    metrics.add(Observation(RUNS, (f"p{number}", "failed")) for number in range(MOST_SERIES + 50))
    metrics.add([Observation(RUNS, ("p0", "failed"))])
    readings = metrics.readings()
    assert len(readings) == MOST_SERIES + 1
    values = {each.labels["pipeline_name"]: each.value for each in readings if isinstance(each, Reading)}
    assert (values["p0"], values[OTHERS], sum(values.values())) == (2, 50, MOST_SERIES + 51)


def test_a_pipeline_has_its_series_before_its_first_run_ends():
    metrics = PipelineMetrics()
    for _ in range(2):
        metrics.add(nothing_yet("p", ["failed", "succeeded"], ["load"]))
    assert [(each.name, each.value) for each in metrics.readings() if isinstance(each, Reading)] == [
        (RUNS, 0), (RUNS, 0), (RECORDS, 0), (COST, 0),
    ]  # fmt: skip


def test_the_names_are_those_that_dashboards_ask_for_and_valid_openmetrics():
    metrics = PipelineMetrics()
    metrics.add(
        [
            Observation(RUNS, ("p", "failed")),
            Observation(COST, ("p",), 0.25),
            Observation(SCORE, ("p", "fit"), 0.9),
            Observation(SCORE, ("p", "fit"), 7.0),
            Observation(DURATION, ("p",), 61.0),
        ]
    )

    class Registry:
        def collect(self):
            return reading_families(metrics.readings())

    text = as_openmetrics(Registry()).decode()  # type: ignore[arg-type]  # it only collects
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in openmetrics_families(text)
        for sample in family.samples
    }
    assert samples["loom_pipeline_runs_total", None] == 1
    assert samples["loom_cost_total_dollars", None] == 0.25
    assert (samples["loom_evaluation_score_bucket", "0.9"], samples["loom_evaluation_score_bucket", "+Inf"]) == (1, 2)
    assert (samples["loom_evaluation_score_sum", None], samples["loom_evaluation_score_count", None]) == (7.9, 2)
    assert samples["loom_pipeline_duration_seconds_bucket", "60.0"] == 0
    assert any(isinstance(each, Distribution) for each in metrics.readings())


def test_a_bucket_has_the_newest_trace_where_the_format_can_say_it_and_no_record_of_it_elsewhere():
    metrics = PipelineMetrics()
    first, newest = (SpanReference(digit * 32, digit * 16) for digit in "ab")
    for span in (first, newest, None):
        metrics.add([Observation(SCORE, ("p", "fit"), 0.9, span)])
    metrics.add([Observation(COST, ("p",), 0.25, first)])

    class Registry:
        def collect(self):
            return reading_families(metrics.readings())

    text = as_openmetrics(Registry()).decode()  # type: ignore[arg-type]  # it only collects
    found = [
        (sample.name, sample.labels.get("le"), sample.exemplar.labels, sample.exemplar.value)
        for family in openmetrics_families(text)
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert found == [(f"{SCORE}_bucket", "0.9", {"trace_id": "b" * 32, "span_id": "b" * 16}, 0.9)]
    assert b"trace_id" not in as_text(Registry())  # type: ignore[arg-type]
