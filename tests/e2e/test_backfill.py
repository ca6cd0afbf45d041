"""Tests backfills: one run for each value of a parameter, which go on where an earlier call ended."""

from __future__ import annotations

import json

import pytest

from support.command import loom as loom_process
from support.projects import ai
from support.sqlite_files import run_sql

CODE = """
from pathlib import Path

def judged(record):
    if record["day"] == "2024-01-02" and not Path(__file__).with_name("mended").exists():
        raise ValueError("bad day")
    return {"n": record["n"]}
"""
RANGE = ("--param", "day", "--from", "2024-01-01", "--to", "2024-01-03")


def written(folder, **changes):
    definition = {
        "name": "daily",
        "params": {"day": {"type": "date"}, "least": {"type": "integer", "default": 0}},
        "extract": {
            "source": "sqlite:///x.db",
            "query": "SELECT id, day, n FROM t WHERE day = {{ day }} AND n >= {{ least }}",
            "key": "id",
        },
        "transform": {"type": "python", "function": "transforms:judged", "on_failure": "abort"},
        "load": {"destination": "out.jsonl", "mode": "append", "include": ["day"]},
        **changes,
    }
    (folder / "pipeline.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in definition.items()))
    return definition


@pytest.fixture
def project(tmp_path):
    (tmp_path / "loom.yaml").touch()
    (tmp_path / "transforms.py").write_text(CODE)
    days = ", ".join(f"({day}, '2024-01-0{day}', {day})" for day in range(1, 5))
    run_sql(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT, n INTEGER)", f"INSERT INTO t VALUES {days}")
    written(tmp_path)
    return tmp_path


def ends(done):
    return [(each["name"], each["status"]) for each in done.report["partitions"]]


def loaded(folder):
    return sorted(json.loads(line)["day"] for line in (folder / "out.jsonl").read_text().splitlines())


def test_a_partition_that_fails_stops_no_other_and_runs_in_the_next_call(project, loom):
    first = loom("backfill", "pipeline.yaml", *RANGE, "--format", "json")
    assert (first.code, ends(first)) == (
        1,
        [("2024-01-01", "succeeded"), ("2024-01-02", "failed"), ("2024-01-03", "succeeded")],
    )
    (project / "mended").touch()
    second = loom("backfill", "pipeline.yaml", *RANGE, "--format", "json")
    assert (second.code, [status for _, status in ends(second)]) == (0, ["succeeded"] * 3)
    before = {each["name"]: each["run_id"] for each in first.report["partitions"]}
    again = {each["name"]: each["run_id"] for each in second.report["partitions"]}
    assert {name for name in before if before[name] != again[name]} == {"2024-01-02"}
    assert loaded(project) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert loom("status", again["2024-01-02"], "--format", "json").report["params"]["day"] == "2024-01-02"


def test_again_runs_all_and_the_table_shows_each(project, loom):
    (project / "mended").touch()
    assert loom("backfill", "pipeline.yaml", *RANGE).code == 0
    done = loom("backfill", "pipeline.yaml", *RANGE, "--again")
    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [
        ["2024-01-01", "succeeded"], ["2024-01-02", "succeeded"], ["2024-01-03", "succeeded"],
    ]  # fmt: skip
    assert len(loaded(project)) == 6


def test_other_parameters_make_other_partitions(project, loom):
    (project / "mended").touch()
    assert loom("backfill", "daily", *RANGE, "--param", "least=2").code == 0
    assert loaded(project) == ["2024-01-02", "2024-01-03"]
    shown = loom("backfill", "daily", *RANGE, "--dry-run", "--format", "json")
    assert [status for _, status in ends(shown)] == ["would run"] * 3
    shown = loom("backfill", "daily", *RANGE, "--param", "least=2", "--dry-run", "--format", "json")
    assert [status for _, status in ends(shown)] == ["succeeded"] * 3


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, ["--param", "dya", "--from", "2024-01-01", "--to", "2024-01-02"], "Did you mean 'day'?"),
        ({}, ["--param", "day=3", "--from", "2024-01-01", "--to", "2024-01-02"], "the name of one parameter"),
        ({}, ["--param", "day", "--from", "2024-01-03", "--to", "2024-01-02"], "2024-01-03 is after 2024-01-02"),
        ({}, [*RANGE, "--param", "least=many"], "a whole number"),
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


async def test_one_budget_holds_for_all_and_a_paused_partition_is_resumed(project, model):
    model.tokens_per_answer = 900
    transform = {**ai(model.base_url, max_tokens=1000), "prompt": "What is the mood of {{ input.day }}?"}
    written(project, transform=transform, monitoring={"cost_budget": 1.0})
    probe = await loom_process(project, "run", "pipeline.yaml", "--param", "day=2024-01-04", "--format", "json")
    cost = probe.report["cost"]["total"]
    assert cost > 0

    budget = ("--budget", f"{cost * 1.8:.9f}")
    first = await loom_process(project, "backfill", "pipeline.yaml", *RANGE, *budget, "--format", "json")
    assert (first.code, [status for _, status in ends(first)]) == (1, ["succeeded", "paused", "not run"])
    assert first.report["partitions"][2]["why"] == f"{first.report['partitions'][1]['run_id']} is paused"
    assert sum(each["cost"] or 0 for each in first.report["partitions"]) <= cost * 1.8

    second = await loom_process(project, "backfill", "pipeline.yaml", *RANGE, "--budget", "0.5", "--format", "json")
    assert (second.code, [status for _, status in ends(second)]) == (0, ["succeeded"] * 3)
    runs = [[each["run_id"] for each in done.report["partitions"]] for done in (first, second)]
    assert runs[0][:2] == runs[1][:2]
    assert loaded(project) == ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
