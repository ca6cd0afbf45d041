"""A run that loaded nothing is no success, and what the destination held stays."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from support.books import assert_balanced
from support.failing_projects import CODE, PLACES, judged_by, loaded, staging_of, with_a_result
from support.projects import ai, ids, project, python, review_ids
from support.simulated_model import simulated_process

BROKEN = {
    "a typo in a function": {"transform": python("transforms:misspelt")},
    "a typo, skipped": {"transform": {**python("transforms:misspelt"), "on_failure": "skip"}},
    "an evaluator that fails": {"evaluate": judged_by("fails")},
}


@pytest.mark.parametrize("destination", PLACES)
@pytest.mark.parametrize("trouble", BROKEN)
def test_a_run_that_loads_nothing_because_of_errors_fails_and_leaves_the_old_result(
    tmp_path, trouble, destination, run
):
    made = with_a_result(run, tmp_path, destination, **BROKEN[trouble])
    end = run()
    assert (end.code, end.report["status"]) == (1, "failed"), end.err
    assert end.report["records"]["loaded"] == 0
    assert_balanced(end.report)
    assert ids(loaded(made)) == review_ids(20)
    assert staging_of(tmp_path) == []


def test_a_model_that_refuses_every_call_leaves_no_success(tmp_path, run):
    with simulated_process("--fault", "refused=1") as base_url:
        made = project(tmp_path, 6, transform=ai(base_url))
        end = run()
    assert (end.code, end.report["status"]) == (1, "failed"), end.err
    assert end.report["error"] == "Nothing was loaded: errors kept back 6 of 6 records."
    assert not made.path(made.destination).exists()


def test_a_typo_in_a_prompt_leaves_no_success(tmp_path, run):
    project(tmp_path, 6, transform=ai("http://127.0.0.1:1/v1", prompt="{{ input.id }} {{ input.reviw }}"))
    end = run()
    assert end.code in (1, 2), end.err
    assert not (tmp_path / "results").exists()


def test_rows_that_the_destination_refuses_leave_no_success(tmp_path, run):
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        database.execute("CREATE TABLE moods (id TEXT PRIMARY KEY, mood TEXT CHECK (mood = 'bad'))")
    project(tmp_path, 6, transform=python(), code=CODE, destination=PLACES[2])
    end = run()
    assert (end.code, end.report["status"], end.report["records"]["quarantined"]) == (1, "failed", 6), end.err


@pytest.mark.parametrize("destination", PLACES)
def test_a_gate_that_rejects_all_is_partial_and_leaves_the_old_result_unless_it_may_be_emptied(
    tmp_path, destination, run
):
    made = with_a_result(run, tmp_path, destination, evaluate=judged_by("low"))
    end = run()
    assert (end.code, end.report["status"]) == (3, "partial"), end.err
    assert end.report["error"].startswith(
        "Nothing was loaded: the gate rejected all 20 records. What the destination held"
    )
    assert ids(loaded(made)) == review_ids(20)
    assert staging_of(tmp_path) == []

    made.say(evaluate=judged_by("low"), load={"destination": destination, "mode": "replace", "allow_empty": True})
    end = run()
    assert (end.code, end.report["error"]) == (3, "Nothing was loaded: the gate rejected all 20 records."), end.err
    assert loaded(made) == []


@pytest.mark.parametrize("destination", PLACES)
def test_an_empty_source_leaves_the_old_result_and_says_so(tmp_path, destination, run):
    made = with_a_result(run, tmp_path, destination)
    made.path("reviews.csv").write_text("id,review,stars\n")
    end = run()
    assert (end.code, end.report["status"]) == (3, "partial"), end.err
    assert "the source held no record" in end.report["error"]
    assert "allow_empty" in end.report["error"]
    assert end.report["unchanged"] is True
    assert ids(loaded(made)) == review_ids(20)
