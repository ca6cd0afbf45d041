"""No result is no success, and a result is not destroyed for nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from support.books import assert_balanced
from support.projects import ai, ids, project, python, review_ids
from support.simulated_model import simulated_process

CODE = """
def judged(record):
    return {"mood": "good"}

def misspelt(record):
    return {"mood": record["moood"]}

def half(record):
    if int(record["id"][1:]) % 2:
        raise ValueError("odd")
    return {"mood": "good"}

def forty_bad(record):
    number = int(record["id"][1:])
    if 40 <= number < 80:
        raise ValueError("bad")
    return {"mood": "good"}

def fails(output, record):
    raise RuntimeError("no verdict")

def low(output, record):
    return 0.0

def high_for_few(output, record):
    return 1.0 if int(record["id"][1:]) < 8 else 0.0
"""
PLACES = ("results/out.csv", "results/out.jsonl", "sqlite:///out.db?table=moods")


def judged_by(function, **more):
    return {
        "evaluators": [{"type": "python", "name": "judge", "function": f"transforms:{function}", "threshold": 0.5}],
        **more,
    }


@pytest.fixture
def run(loom):
    """Runs the pipeline of the folder; what it prints is JSON."""
    return lambda *arguments: loom("run", "pipeline.yaml", "--format", "json", *arguments)


@pytest.fixture
def slowly(monkeypatch):
    """Few batches at once, so that a run can be stopped."""
    monkeypatch.setenv("LOOM_WORKER_PREFETCH", "1")


def loaded(made):
    return asyncio.run(made.loaded())


def with_a_result(run, folder, destination, count=20, **changes):
    """A project whose destination holds a whole result, put there in mode replace; the next run is as `changes` say."""
    made = project(folder, count, transform=python(), code=CODE, destination=destination, load={"mode": "replace"})
    first = run()
    assert (first.code, first.report["records"]["loaded"]) == (0, count), first.err
    made.say(**changes)
    return made


def staging_of(folder):
    """What lies beside the destinations of a project: staging tables and folders of parts."""
    parts = [str(path.relative_to(folder)) for path in folder.rglob("*.loom/run_*") if path.is_dir()]
    if not (folder / "out.db").exists():
        return parts
    with closing(sqlite3.connect(folder / "out.db")) as database:
        names = database.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE '%\\_\\_loom\\_%' ESCAPE '\\'"
        ).fetchall()
    return parts + [name for (name,) in names]


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
    assert ids(loaded(made)) == review_ids(20)


@pytest.mark.parametrize("destination", PLACES)
def test_a_run_that_is_partial_by_the_batch_threshold_replaces(tmp_path, destination, run):
    made = with_a_result(run, tmp_path, destination, evaluate=judged_by("high_for_few", batch_threshold=0.9))
    end = run()
    assert (end.code, end.report["status"]) == (3, "partial"), end.err
    assert end.report["records"]["loaded"] == 8
    assert ids(loaded(made)) == review_ids(8)


def test_half_of_the_records_failing_ends_a_run_by_default_and_a_pipeline_may_say_otherwise(tmp_path, run, slowly):
    made = project(tmp_path, 400, transform=python("transforms:misspelt"), code=CODE, extract={"batch_size": 10})
    end = run()
    assert (end.code, end.report["status"], end.report["reason"]) == (1, "failed", "failure_limit"), end.err
    assert "max_failure_rate is 50.0%" in end.report["error"]
    assert end.report["records"]["quarantined"] < 400
    assert_balanced(end.report)
    made.say(transform={**python("transforms:misspelt"), "max_failure_rate": None})
    end = run()
    assert end.report["error"] == "Nothing was loaded: errors kept back 400 of 400 records."


def test_rejections_are_no_failures(tmp_path, run):
    project(tmp_path, 60, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    end = run()
    assert (end.code, end.report["records"]["rejected"], end.report["records"]["loaded"]) == (0, 52, 8), end.err


def test_a_report_groups_the_reasons_with_an_example_and_the_command_to_see_it(tmp_path, loom):
    project(tmp_path, 6, transform=python("transforms:misspelt"), code=CODE)
    end = loom("run", "pipeline.yaml")
    assert "6 x KeyError: 'moood' in transforms:misspelt (quarantined at transform, e.g. r000000)" in end.words
    line = next(line for line in end.out.splitlines() if "loom quarantine show" in line)
    command = line.strip().partition("   ")[0].split()
    assert "KeyError: 'moood'" in (loom(*command[1:])).out


def test_reasons_that_differ_in_numbers_are_one(tmp_path, run):
    project(tmp_path, 30, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    (reason,) = (run()).report["reasons"]
    assert reason["records"] == 22
    assert reason["outcome"] == "rejected"
    assert reason["stage"] == "evaluate"
    assert reason["code"] == "gate"


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
    assert records["staged"] >= 40
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


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("rejected=0.6", 5),
        ("rejected=60%", 5),
        ("rejected=0.7", 0),
        ("rejected=13", 5),
        ("rejected=14", 0),
        ("failed=0", 0),
        ("kept=0", 5),
        ("rejectd=1", 2),
        ("rejected=1.5", 2),
        ("rejected", 2),
    ],
)
def test_a_limit_on_ends_has_an_exit_code_of_its_own_for_ci(tmp_path, loom, limit, code):
    project(tmp_path, 22, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    assert loom("run", "pipeline.yaml", "--fail-on", limit).code == code


def test_a_pipeline_may_limit_its_ends_itself_and_the_option_goes_first(tmp_path, run):
    made = project(tmp_path, 20, transform=python(), code=CODE, evaluate=judged_by("high_for_few"))
    made.say(fail_on={"rejected": 0.2, "failed": 0})
    end = run()
    assert (end.code, end.report["status"]) == (5, "succeeded"), end.err
    assert end.report["fail_on"] == {"rejected": "20%", "failed": "0"}
    assert "rejected: 12 of 20 records (60.0%); fail_on allows 20%" in end.err
    assert (run("--fail-on", "rejected=0.6")).code == 0


def test_a_wrong_limit_is_a_mistake_with_its_place(tmp_path, loom):
    made = project(tmp_path, 2)
    made.say(fail_on={"rejectd": 0.2})
    end = loom("validate", "pipeline.yaml")
    assert end.code == 2
    assert "fail_on: " in end.out
    assert "one of rejected, quarantined" in end.words
