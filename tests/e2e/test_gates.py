"""Tests quality gates from the command line: who is loaded, who is rejected and why; and that the tables say the
same."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_migrations.engine import open_engine
from support.clients import ended, request_of
from support.projects import project

PAGE = Path(__file__).parents[2] / "docs/evaluation.md"
VERDICTS = sa.text(re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0])

SCORES = {"good": (0.9, 0.8), "edge": (0.8, 0.75), "half": (0.85, 0.7), "poor": (0.6, 0.65), "odd": (0.9, 7)}
CODE = f"""
SCORES = {SCORES!r}

def first(output, record):
    return SCORES[record["id"]][0]

def second(output, record):
    return SCORES[record["id"]][1]

class Unanimous:
    def apply(self, scores):
        return all(score.value >= 0.85 for score in scores[:1])
"""
EVALUATORS = [
    {"name": "semantic", "type": "python", "function": "transforms:first", "threshold": 0.8, "weight": 2.0},
    {"name": "criteria", "type": "python", "function": "transforms:second", "threshold": 0.75, "weight": 1.0},
]
NO_SCORE = "Evaluator criteria: the score is 7; expected a number from 0 to 1"
GATES = {
    "all_pass": {
        "half": "criteria evaluator below threshold (0.70 < 0.75)",
        "poor": "Multiple evaluators failed: semantic (0.60 < 0.8), criteria (0.65 < 0.75)",
    },
    "majority_pass": {
        "half": "Majority not achieved: 1/2 passed (50%)",
        "poor": "Majority not achieved: 0/2 passed (0%)",
    },
    "any_pass": {"poor": "No evaluators passed threshold"},
    "weighted": {
        "edge": "Weighted average below threshold (0.783 < 0.8)",
        "poor": "Weighted average below threshold (0.617 < 0.8)",
    },
    "transforms:Unanimous": {
        "edge": "Quality gate transforms:Unanimous did not pass",
        "poor": "Quality gate transforms:Unanimous did not pass",
    },
}


def gated(folder, gate, name="gated", **changes):
    quality_gate = {"type": "weighted", "threshold": 0.8} if gate == "weighted" else gate
    return project(
        folder, [{"id": each, "review": "x", "stars": "1"} for each in SCORES], name=name, code=CODE,
        evaluate={"evaluators": EVALUATORS, "quality_gate": quality_gate}, **changes,
    )  # fmt: skip


@pytest.mark.parametrize("gate", GATES)
def test_the_gate_lets_through_what_it_should_and_says_why_not(gate, loom, tmp_path):
    made = gated(tmp_path, gate)
    report = loom("run", str(made.pipeline), "--format", "json").report
    kept = json.loads(loom("quarantine", "list", "--format", "json").out)
    reasons = {each["record_id"]: each["failure_reason"] for each in kept}
    assert reasons == {**GATES[gate], "odd": NO_SCORE}
    assert [row["id"] for row in asyncio.run(made.loaded())] == sorted(set(SCORES) - set(reasons))
    assert (report["records"]["rejected"], report["records"]["quarantined"]) == (len(GATES[gate]), 1)


@pytest.mark.parametrize(("threshold", "status"), [(0.5, "succeeded"), (0.76, "partial")])
def test_the_batch_threshold_is_about_the_judged_records_of_the_whole_run(threshold, status, loom, tmp_path):
    made = gated(tmp_path, "all_pass")
    made.say(evaluate={"evaluators": EVALUATORS, "batch_threshold": threshold})
    report = loom("run", str(made.pipeline), "--format", "json").report
    assert report["status"] == status
    message = None if status == "succeeded" else "Batch quality below threshold: 50.0% < 76.0%"
    assert report["error"] == message
    assert len(asyncio.run(made.loaded())) == 2


@pytest.fixture(params=["embedded", "distributed"])
def place(request, tmp_path):
    """Provide the place where pipelines lie, and the configuration they run with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return tmp_path, LoomConfig.load(tmp_path / "loom.yaml"), {}
    cluster = request.getfixturevalue("cluster")
    config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
    return cluster.project / "gated", config, cluster.credentials


async def test_the_documented_query_over_the_tables_reproduces_every_verdict(place):
    folder, config, environ = place
    runs = {}
    async with open_session(config, cluster=config.distributed) as session:
        for gate in ("all_pass", "majority_pass", "any_pass", "weighted"):
            made = gated(folder / gate, gate, name=gate)
            report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
            runs[gate] = (report.run_id, {row["id"] for row in await made.loaded(environ)})
    engine = open_engine(config.settings().state.url.get_secret_value(), reads=True)
    try:
        async with engine.connect() as connection:
            for gate, (run_id, loaded) in runs.items():
                rows = await connection.execute(VERDICTS, {"run_id": run_id})
                found = dict(rows.fetchall())
                decided = {each: "passed" if each in loaded else "rejected" for each in SCORES}
                assert found == {**decided, "odd": "error"}, gate
    finally:
        await engine.dispose()
