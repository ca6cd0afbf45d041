"""What a run staged is counted apart from what it loaded, and a resume puts it in place or a later run removes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from support.books import assert_balanced
from support.failing_projects import CODE, PLACES, judged_by, loaded, staging_of, with_a_result
from support.projects import ids, project, python, review_ids


@pytest.mark.parametrize("destination", PLACES)
def test_a_run_that_is_partial_by_the_batch_threshold_replaces(tmp_path, destination, run):
    made = with_a_result(run, tmp_path, destination, evaluate=judged_by("high_for_few", batch_threshold=0.9))
    end = run()
    assert (end.code, end.report["status"]) == (3, "partial"), end.err
    assert end.report["records"]["loaded"] == 8
    assert ids(loaded(made)) == review_ids(8)


@pytest.mark.parametrize("destination", PLACES)
def test_what_a_stopped_run_staged_is_told_put_in_place_by_a_resume_and_counted_then(
    tmp_path, destination, run, loom, slowly
):
    made = with_a_result(run, tmp_path, destination, count=100)
    changed = {**python("transforms:forty_bad"), "max_failures": 5}
    made.say(transform=changed, extract={"source": "reviews.csv", "key": "id", "batch_size": 10})
    end = run()
    records = end.report["records"]
    assert (end.code, end.report["status"], records["loaded"]) == (1, "failed", 0), end.err
    assert 0 < records["staged"] <= 60
    assert end.report["staged_in"] is not None
    assert_balanced(end.report)
    assert len(staging_of(tmp_path)) == 1
    assert ids(loaded(made)) == review_ids(100)

    made.say(transform={**changed, "max_failures": 1000})
    run_id = end.report["run_id"]
    for _ in range(10):
        last = loom("resume", run_id, "--format", "json")
        if last.code == 0:
            break
    assert (last.code, last.report["records"]["loaded"], last.report["records"]["staged"]) == (0, 60, 0), last.err
    assert len(loaded(made)) == 60
    assert staging_of(tmp_path) == []


def test_a_resume_does_not_report_what_somebody_removed_of_the_staged_rows_as_loaded(tmp_path, run, loom, slowly):
    made = with_a_result(run, tmp_path, "out.csv", count=100)
    changed = {**python("transforms:forty_bad"), "max_failures": 5}
    made.say(transform=changed, extract={"source": "reviews.csv", "key": "id", "batch_size": 10})
    run_id = run().report["run_id"]
    next((tmp_path / staging_of(tmp_path)[0]).glob("*.part")).unlink()

    made.say(transform={**changed, "max_failures": 1000})
    for _ in range(10):
        last = loom("resume", run_id, "--format", "json")
        if "gone" in (last.report["error"] or ""):
            break
    assert (last.code, last.report["status"], last.report["reason"]) == (1, "failed", "rows_lost"), last.err
    assert "somebody removed rows that this run had loaded" in last.report["error"]
    assert (last.report["records"]["loaded"], last.report["records"]["staged"]) == (0, 0)
    assert_balanced(last.report)
    assert ids(loaded(made)) == review_ids(100)
    assert "loom resume" not in loom("status", run_id).out
    assert "somebody removed rows that it had staged" in loom("resume", run_id).err
    made.say()
    assert run().code == 0


@pytest.mark.parametrize("destination", PLACES)
def test_what_a_failed_run_staged_is_removed_by_cancelling_it_and_by_a_later_run(
    tmp_path, destination, run, loom, slowly
):
    made = with_a_result(run, tmp_path, destination, count=100)
    stopped = {
        "transform": {**python("transforms:forty_bad"), "max_failures": 5},
        "extract": {"source": "reviews.csv", "key": "id", "batch_size": 10},
    }
    made.say(**stopped)
    first = (run()).report["run_id"]
    assert len(staging_of(tmp_path)) == 1
    assert (loom("cancel", first)).code == 0
    assert staging_of(tmp_path) == []
    assert "cannot be resumed" in (loom("resume", first)).err

    second = (run()).report["run_id"]
    assert len(staging_of(tmp_path)) == 1
    made.say()
    assert (run()).code == 0
    assert staging_of(tmp_path) == []
    assert "a later run has replaced the destination" in (loom("resume", second)).err
    status = (loom("status", second, "--format", "json")).report
    assert (status["records"]["loaded"], status["records"]["staged"]) == (0, 0)
    assert_balanced(status)


def test_an_exchange_that_fails_leaves_loaded_at_zero_and_says_where_the_rows_are(tmp_path, run, loom):
    made = with_a_result(run, tmp_path, PLACES[2])
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        database.execute("CREATE TRIGGER kept BEFORE DELETE ON moods BEGIN SELECT RAISE(ABORT, 'kept'); END")
        database.commit()
    end = run()
    assert (end.code, end.report["status"]) == (1, "failed"), end.err
    assert (end.report["records"]["loaded"], end.report["records"]["staged"]) == (0, 20)
    assert "moods__loom_run_" in end.report["staged_in"]
    assert ids(loaded(made)) == review_ids(20)
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        database.execute("DROP TRIGGER kept")
    again = loom("resume", end.report["run_id"], "--format", "json")
    assert (again.code, again.report["records"]["loaded"]) == (0, 20), again.err
    assert staging_of(tmp_path) == []


@pytest.mark.parametrize("destination", PLACES)
def test_rows_that_a_failed_run_added_are_in_the_destination_and_counted(tmp_path, destination, run, slowly):
    transform = {**python("transforms:forty_bad"), "on_failure": "abort"}
    extract = {"batch_size": 10}
    made = project(
        tmp_path, 100, transform=transform, code=CODE, destination=destination, extract=extract, load={"mode": "append"}
    )
    end = run()
    assert (end.code, end.report["status"]) == (1, "failed"), end.err
    assert end.report["records"]["loaded"] == len(loaded(made)) > 0
    assert end.report["records"]["staged"] == 0
    assert_balanced(end.report)
    assert staging_of(tmp_path) == [] or destination.startswith("results")
