"""Tests backfills: one run for each value of a parameter, which go on where an earlier call ended."""

from __future__ import annotations

import json
import sqlite3

import pytest

from support.backfills import RANGE, ends, made, run_ids, statuses, written
from support.places import spent
from support.projects import ai
from support.simulated_model import served_in_a_thread


@pytest.fixture
def project(tmp_path):
    (tmp_path / "loom.yaml").touch()
    return made(tmp_path)


def days(folder):
    return sorted(json.loads(line)["day"] for line in (folder / "out.jsonl").read_text().splitlines())


def test_a_partition_that_fails_stops_no_other_and_runs_in_the_next_call(project, loom):
    first = loom("backfill", "pipeline.yaml", *RANGE, "--format", "json")
    assert (first.code, ends(first)) == (
        1,
        [("2024-01-01", "succeeded"), ("2024-01-02", "failed"), ("2024-01-03", "succeeded")],
    )
    (project / "mended").touch()
    second = loom("backfill", "pipeline.yaml", *RANGE, "--format", "json")
    assert (second.code, statuses(second)) == (0, ["succeeded"] * 3)
    before = {each["name"]: each["run_id"] for each in first.report["partitions"]}
    again = {each["name"]: each["run_id"] for each in second.report["partitions"]}
    assert {name for name in before if before[name] != again[name]} == {"2024-01-02"}
    assert days(project) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert loom("status", again["2024-01-02"], "--format", "json").report["params"]["day"] == "2024-01-02"


def test_again_runs_all_and_the_table_shows_each(project, loom):
    (project / "mended").touch()
    assert loom("backfill", "pipeline.yaml", *RANGE).code == 0
    done = loom("backfill", "pipeline.yaml", *RANGE, "--again")
    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [
        ["2024-01-01", "succeeded"], ["2024-01-02", "succeeded"], ["2024-01-03", "succeeded"],
    ]  # fmt: skip
    assert len(days(project)) == 6


def test_other_parameters_make_other_partitions(project, loom):
    (project / "mended").touch()
    assert loom("backfill", "daily", *RANGE, "--param", "least=2").code == 0
    assert days(project) == ["2024-01-02", "2024-01-03"]
    shown = loom("backfill", "daily", *RANGE, "--dry-run", "--format", "json")
    assert statuses(shown) == ["would run"] * 3
    shown = loom("backfill", "daily", *RANGE, "--param", "least=2", "--dry-run", "--format", "json")
    assert statuses(shown) == ["succeeded"] * 3


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, ["--param", "dya", "--from", "2024-01-01", "--to", "2024-01-02"], "Did you mean 'day'?"),
        ({}, ["--param", "day=3", "--from", "2024-01-01", "--to", "2024-01-02"], "the name of one parameter"),
        ({}, ["--param", "day", "--from", "2024-01-03", "--to", "2024-01-02"], "2024-01-03 is after 2024-01-02"),
        ({}, [*RANGE, "--param", "least=many"], "a whole number"),
        (
            {"extract": {"source": "sqlite:///x.db", "query": "SELECT '{day}' AS day, id FROM t", "key": "id"}},
            RANGE,
            "params.day: found the parameter 'day', which nothing uses, so that each run would move the same records",
        ),
        ({"load": {"destination": "out.jsonl"}}, RANGE, "only the last partition would remain"),
        (
            {"extract": {"source": "sqlite:///x.db?table=t", "key": "id", "incremental": "day"}},
            RANGE,
            "reads by the mark",
        ),
    ],
)
def test_what_makes_no_backfill_is_refused(project, loom, changes, options, words):
    written(project, **changes)
    done = loom("backfill", "pipeline.yaml", *options)
    assert done.code == 2
    assert words in " ".join(done.err.replace("│", " ").split())
    assert loom("history", "--format", "json").report == []


def test_a_run_that_waits_is_resumed_before_a_new_one_begins(project, loom):
    """A partition before it has failed, and no new run of a pipeline begins beside one that waits."""
    first = loom("backfill", "pipeline.yaml", *RANGE, "--format", "json")
    with sqlite3.connect(project / ".loom" / "loom.db") as db:
        last = first.report["partitions"][2]["run_id"]
        db.execute("UPDATE pipeline_runs SET status = 'paused' WHERE run_id = ?", [last])
    db.close()
    (project / "mended").touch()
    shown = loom("backfill", "pipeline.yaml", *RANGE, "--dry-run", "--format", "json")
    assert statuses(shown) == ["succeeded", "would run", "would resume"]
    refused = loom("backfill", "pipeline.yaml", *RANGE, "--param", "least=1", "--dry-run")
    assert (refused.code, f"{last} was paused. Finish it with" in refused.err) == (2, True)
    second = loom("backfill", "pipeline.yaml", *RANGE, "--format", "json")
    assert (second.code, statuses(second)) == (0, ["succeeded"] * 3)
    assert second.report["partitions"][2]["run_id"] == last
    assert days(project) == ["2024-01-01", "2024-01-02", "2024-01-03"]


def test_one_budget_holds_for_all_and_a_paused_partition_is_resumed(project, loom):
    with served_in_a_thread() as model:
        model.tokens_per_answer = 900
        transform = {**ai(model.base_url, max_tokens=1000), "prompt": "What is the mood of {{ input.day }}?"}
        written(project, transform=transform, monitoring={"cost_budget": 1.0})
        cost = loom("run", "pipeline.yaml", "--param", "day=2024-01-04", "--format", "json").report["cost"]["total"]
        assert cost > 0

        budget = ("--budget", f"{cost * 1.8:.9f}")
        first = loom("backfill", "pipeline.yaml", *RANGE, *budget, "--format", "json")
        assert (first.code, statuses(first)) == (1, ["succeeded", "paused", "not run"])
        assert first.report["partitions"][2]["why"] == f"{run_ids(first)[1]} is paused"
        assert spent(model) <= cost * 2.8
        paid = [each["cost"] for each in first.report["partitions"]]
        assert (paid[2], first.report["partitions"][1]["loaded"]) == (None, 0)
        assert sum(paid[:2]) == pytest.approx(spent(model) - cost)

        second = loom("backfill", "pipeline.yaml", *RANGE, "--budget", "0.5", "--format", "json")
    assert (second.code, statuses(second)) == (0, ["succeeded"] * 3)
    assert run_ids(first)[:2] == run_ids(second)[:2]
    assert days(project) == ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
