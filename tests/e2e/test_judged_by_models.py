"""Tests outputs judged by models through Arbiter's evaluators: scores, books and tables, embedded and on RabbitMQ."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import sqlalchemy as sa

from loom import Loom
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_coordinator.db.tables.outcomes import evaluation_results, record_evaluations
from loom_migrations.engine import open_engine
from support.books import assert_balanced
from support.clients import ended, request_of
from support.projects import ai, project

RECORDS = 24
SEMANTIC = {"type": "semantic", "field": "mood", "reference_field": "review", "threshold": 0.4}
KIND = {"type": "custom_criteria", "name": "kind", "field": "mood", "criteria": ["Kind", "Short"], "threshold": 0.4}


def judged_by(url: str, *evaluators, **section):
    return {"model": "gpt-4o-mini", "base_url": url, "evaluators": list(evaluators), **section}


@pytest.fixture(params=["embedded", "distributed"])
def place(request, tmp_path):
    """Provide the place where pipelines lie, and the configuration they run with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return tmp_path, LoomConfig.load(tmp_path / "loom.yaml")
    cluster = request.getfixturevalue("cluster")
    return cluster.project / "judged", LoomConfig.load(cluster.project / "loom.yaml").for_cluster()


async def test_two_judges_are_paid_for_what_the_server_counted_and_kept_with_all_they_said(place, model):
    folder, config = place
    made = project(
        folder, RECORDS, name="judged", transform=ai(model.base_url), extract={"batch_size": 10},
        evaluate=judged_by(model.base_url, SEMANTIC, KIND),
    )  # fmt: skip
    async with open_session(config, cluster=config.distributed) as session:
        report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report

    assert_balanced(report.model_dump())
    assert (report.status, report.records["quarantined"]) == ("succeeded", 0)
    assert 0 < report.records["rejected"] < RECORDS
    assert report.calls["made"] == model.stats["calls"] == model.stats["distinct"]
    judging = [body for body in model.bodies if len(body["messages"]) == 2]
    assert report.cost["evaluate"] > report.cost["transform"] > 0
    rows = await evaluations(config, report.run_id)
    assert len(rows) == 2 * RECORDS
    assert all(row["explanation"] and 0 <= row["confidence"] <= 1 for row in rows)
    asked = [each for row in rows for each in row["interactions"]]
    assert len(judging) == sum(each["calls"] for each in asked)
    assert sum(each["cost"] for each in asked) == pytest.approx(report.cost["evaluate"])
    assert "OUTPUT" in asked[0]["prompt"]
    assert Counter(row["evaluator_name"] for row in rows) == {"semantic": RECORDS, "kind": RECORDS}
    kept = await Loom(config.file).get_quarantined_records(run_id=report.run_id, limit=RECORDS)
    assert {record["failure_stage"] for record in kept} == {"evaluate"}


async def test_a_second_run_takes_its_judgements_from_the_journal(place, model):
    folder, config = place
    made = project(
        folder, 6, name="judged_twice", evaluate=judged_by(model.base_url, {**SEMANTIC, "field": "stars"}),
    )  # fmt: skip
    async with open_session(config, cluster=config.distributed) as session:
        first = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        second = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert (first.calls["made"], second.calls["made"], second.calls["from_cache"]) == (6, 0, 6)
    assert second.cost["evaluate"] == 0
    assert second.evaluation == first.evaluation


async def test_a_sample_is_judged_and_the_rest_passes_unscored(place, model):
    folder, config = place
    evaluate = judged_by(model.base_url, {**SEMANTIC, "field": "stars"}, sample=0.25, batch_threshold=0.0)
    made = project(folder, 40, name="sampled", evaluate=evaluate)
    async with open_session(config, cluster=config.distributed) as session:
        report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    rows = await evaluations(config, report.run_id)
    assert 0 < len(rows) < 20
    assert report.records["unscored"] == 40 - len(rows)
    assert report.records["passed"] == report.records["loaded"] == 40 - report.records["rejected"]
    assert report.calls["made"] == len(rows)


async def test_a_judge_that_gives_no_usable_answer_passes_nothing_and_is_not_believed_later(
    tmp_path, clean_environ, model
):
    (tmp_path / "loom.yaml").touch()
    evaluate = judged_by(model.base_url, {**SEMANTIC, "field": "stars", "threshold": 0.0})
    made = project(tmp_path, 3, evaluate=evaluate)
    config = LoomConfig.load(tmp_path / "loom.yaml")
    async with open_session(config, cluster=False) as session:
        model.rates = {"bad_json": 1.0}
        failed = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        model.rates = {}
        worked = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert (failed.records["loaded"], failed.records["quarantined"]) == (0, 3)
    assert (worked.records["loaded"], worked.records["quarantined"]) == (3, 0)
    kept = await Loom(config.file).get_quarantined_records(run_id=failed.run_id)
    assert kept[0]["failure_reason"].startswith("Evaluator semantic: The answer is no JSON")


async def test_a_judge_that_is_away_for_now_is_waited_for(tmp_path, clean_environ, model, monkeypatch):
    monkeypatch.setenv("LOOM_MODELS_RETRY_DELAY", "0.01")
    (tmp_path / "loom.yaml").touch()
    model.faults.extend(["500"] * 2)
    made = project(tmp_path, 1, evaluate=judged_by(model.base_url, {**SEMANTIC, "field": "stars", "threshold": 0.0}))
    config = LoomConfig.load(tmp_path / "loom.yaml")
    async with open_session(config, cluster=False) as session:
        report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert (report.records["loaded"], report.records["quarantined"]) == (1, 0)


def test_validate_says_that_the_judges_are_there(loom, tmp_path, model_url="http://127.0.0.1:9/v1"):
    made = project(tmp_path, 1, evaluate=judged_by(model_url, SEMANTIC | {"field": "review"}))
    ended = loom("validate", str(made.pipeline), "--format", "json")
    assert ended.code == 0
    [check] = [each for each in json.loads(ended.out)[0]["checks"] if each["check"] == "evaluators"]
    assert (check["ok"], check["detail"]) == (True, "semantic: Arbiter is installed")


def test_without_arbiter_validate_and_run_say_what_to_install(loom, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", _without_arbiter)
    made = project(tmp_path, 1, evaluate=judged_by("http://127.0.0.1:9/v1", SEMANTIC | {"field": "review"}))
    for words in (("validate", str(made.pipeline)), ("run", str(made.pipeline))):
        ended = loom(*words)
        assert ended.code == 2
        said = " ".join((ended.out + ended.err).split())
        assert "needs Arbiter. Install it where the evaluators run: `make extras EXTRAS=arbiter`" in said


def _without_arbiter(name, package=None):
    return None if name == "arbiter_ai" else object()


async def evaluations(config, run_id):
    engine = open_engine(config.settings().state.url.get_secret_value(), reads=True)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(sa.select(record_evaluations).where(record_evaluations.c.run_id == run_id))
            rows = [dict(row) for row in found.mappings()]
            summed = await connection.execute(
                sa.select(evaluation_results.c.sample_size).where(evaluation_results.c.run_id == run_id)
            )
            assert sum(summed.scalars()) == len(rows)
            return rows
    finally:
        await engine.dispose()


async def test_a_run_is_compared_with_an_earlier_one_that_is_named(place, model):
    folder, config = place

    def against(baseline):
        better = {"type": "pairwise", "name": "better", "field": "mood", "baseline": baseline, "threshold": 0.0}
        return judged_by(model.base_url, better)

    made = project(folder, RECORDS, name="compared", transform=ai(model.base_url), evaluate=against("previous_run"))
    async with open_session(config, cluster=config.distributed) as session:

        async def run(**changes):
            made.say(**changes)
            return (await ended(session, (await session.start(request_of(made, config))).run_id)).report

        first = await run()
        assert [(each.purpose, each.made) for each in first.spending] == [("transform", RECORDS)]
        other = ai(model.base_url, prompt="Say it anew: {{ input.id }}: {{ input.review }}")
        await run(transform=other)
        named = await run(transform=other, evaluate=against(first.run_id))
        unknown = await run(evaluate=against("run_000000000000"))

    assert_balanced(named.model_dump())
    assert {each.purpose for each in named.spending} >= {"evaluate"}
    rows = await evaluations(config, named.run_id)
    assert len(rows) == RECORDS
    compared = [asked["prompt"] for row in rows for asked in row["interactions"] or []]
    assert len(compared) == RECORDS
    assert all("OUTPUT B (REFERENCE)" in prompt for prompt in compared)
    assert unknown.status == "failed"
    assert "run_000000000000 has kept no outputs to compare with" in unknown.error
