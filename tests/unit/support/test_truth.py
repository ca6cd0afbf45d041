"""The checker of books that all tests use can fail: each way in which books may be untrue is told."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from loom.engine import prepare
from loom_common.config.settings import Settings, StateSettings
from support.truth import (
    Books,
    Seen,
    UntrueBooks,
    code_troubles,
    destination_troubles,
    ledger_troubles,
    provider_troubles,
    troubles,
)
from support.watching import Watch, changes_runs

TALLY = {
    "extracted": 10, "loaded": 6, "rejected": 2, "quarantined": 2, "skipped": 0, "cancelled": 0, "staged": 0,
    "filtered": 0, "derived": 0, "unnested": 0, "grouped": 0, "second": 0, "calls_made": 10,
    "cost_transform": 0.1, "cost_evaluate": 0.0,
}  # fmt: skip
RUN = {
    "run_id": "run_1",
    "status": "succeeded",
    "error_message": None,
    "reason": None,
    "sample": None,
    "replay_of": None,
    "epoch": 1,
    "placed": {"first": True, "second": True},
    "tally": TALLY,
    "definition": {"extract": {"source": "in.csv"}, "load": {"destination": "out.csv"}},
}
BATCHES = {
    name: TALLY[name] for name in ("extracted", "loaded", "rejected", "quarantined", "skipped", "staged", "second")
}
TRUE = Books(
    run=RUN,
    batches={**BATCHES, "underway": 0},
    kept={"rejected": 2, "quarantined": 2},
    calls={"made": 10, "cost": 0.1, "tokens_in": 500, "tokens_out": 50},
)


def but(**changes):
    """Return true books, but for these values: of the run's tally, else of the run."""
    tally = {**TALLY, **{name: value for name, value in changes.items() if name in TALLY}}
    rest = {name: value for name, value in changes.items() if name not in TALLY}
    return replace(TRUE, run={**RUN, "tally": tally, **rest})


def test_true_books_have_no_trouble():
    assert troubles(TRUE) == []
    assert destination_troubles(TRUE, Seen(9, "old"), Seen(6, "new"), 6) == []
    assert ledger_troubles(TRUE, {"b1": 6}) == []
    assert code_troubles(TRUE, 0) == []


@pytest.mark.parametrize(
    ("books", "words"),
    [
        (but(loaded=7), "came to an end"),
        (but(loaded=5), "came to an end"),
        (but(rejected=3, quarantined=1), "rejected: run, batches and quarantine say"),
        (replace(TRUE, kept={"rejected": 2, "quarantined": 1}), "quarantined: run, batches and quarantine say"),
        (replace(TRUE, batches={**TRUE.batches, "loaded": 5}), "6 of 5 written are shown"),
        (replace(TRUE, batches={**TRUE.batches, "underway": 1}), "1 underway"),
        (but(calls_made=9), "calls: the run says 9"),
        (but(cost_transform=0.2), "cost: the run says 0.2"),
        (but(error_message="something"), "succeeded, and the error is 'something'"),
        (but(status="failed"), "failed, and the error is None"),
        (but(loaded=0, cancelled=6), "though nothing was loaded and errors kept back 2"),
        (but(loaded=0, cancelled=6, quarantined=0), "though the gate rejected all"),
    ],
)
def test_each_way_in_which_a_run_s_own_books_may_be_untrue_is_told(books, words):
    assert any(words in each for each in troubles(books)), troubles(books)


@pytest.mark.parametrize("status", ["running", "paused"])
def test_nothing_is_said_of_a_run_that_has_not_ended(status):
    assert troubles(but(status=status, loaded=99)) == []


UPSERT = {"extract": {"source": "in.csv", "key": "id"}, "load": {"destination": "sqlite:///o.db?table=t"}}
APPEND = {"extract": {"source": "in.csv"}, "load": {"destination": "out.csv", "mode": "append"}}
NOT_PLACED = {"first": False, "second": True}


@pytest.mark.parametrize(
    ("changes", "before", "after", "more", "good"),
    [
        ({}, None, Seen(6, "a"), 6, True),
        ({}, None, Seen(5, "a"), 6, False),
        ({}, None, None, 6, False),
        ({"definition": APPEND}, Seen(4, "a"), Seen(10, "b"), 6, True),
        ({"definition": APPEND}, Seen(4, "a"), Seen(6, "b"), 6, False),
        ({"definition": UPSERT}, Seen(6, "a"), Seen(6, "b"), 6, True),
        ({"definition": UPSERT}, Seen(6, "a"), Seen(12, "b"), 6, True),
        ({"definition": UPSERT}, Seen(6, "a"), Seen(13, "b"), 6, False),
        ({"definition": UPSERT}, Seen(6, "a"), Seen(5, "b"), 6, False),
        ({"placed": NOT_PLACED, "loaded": 0}, Seen(9, "a"), Seen(9, "a"), 0, True),
        ({"placed": NOT_PLACED, "loaded": 0}, Seen(9, "a"), Seen(9, "b"), 0, False),
        ({"placed": None, "loaded": 0}, Seen(9, "a"), Seen(0, "b"), 0, False),
        ({"error_message": "left as it was", "loaded": 0}, Seen(9, "a"), Seen(9, "a"), 0, True),
        ({"error_message": "left as it was", "loaded": 0}, Seen(9, "a"), Seen(0, "b"), 0, False),
    ],
)
def test_the_destination_holds_what_the_run_says(changes, before, after, more, good):
    assert (destination_troubles(but(**changes), before, after, more) == []) is good


def test_a_ledger_that_holds_more_or_less_is_told():
    assert ledger_troubles(TRUE, {"b1": 5}) == ["the ledger holds 5 loaded, the batches 6"]
    assert ledger_troubles(TRUE, {"b1": 6, "b2": 1}) == ["the ledger holds 7 loaded, the batches 6"]


def test_tokens_that_the_provider_counted_and_nobody_booked_are_told():
    counted = {"tokens_in": 510, "tokens_out": 50}
    assert provider_troubles(TRUE.calls, counted) == ["tokens_in: 500 on the books, the provider counted 510"]


@pytest.mark.parametrize(
    ("status", "code"), [("succeeded", 1), ("failed", 0), ("partial", 0), ("cancelled", 0), ("failed", 5)]
)
def test_an_exit_code_that_is_not_the_status_is_told(status, code):
    assert code_troubles(but(status=status), code) == [f"{status}, but the exit code is {code}"]


@pytest.mark.parametrize(
    ("arguments", "does"),
    [
        (("run", "x.yaml"), True),
        (("run", "x.yaml", "--dry-run"), False),
        (("quarantine", "retry", "run_1"), True),
        (("quarantine", "list"), False),
        (("status", "run_1"), False),
    ],
)
def test_commands_that_carry_out_runs_are_watched(arguments, does):
    assert changes_runs(arguments) is does


async def test_a_watched_command_that_left_untrue_books_fails_its_test(tmp_path):
    """The run says that it loaded two rows of a file that has one."""
    settings = Settings(project_dir=tmp_path, state=StateSettings(url=f"sqlite:///{tmp_path}/.loom/loom.db"))
    (tmp_path / ".loom").mkdir()
    await prepare(settings)
    watch = await Watch.begin(tmp_path)
    (tmp_path / "out.csv").write_text("id\n1\n")
    tally = {**dict.fromkeys(TALLY, 0), "extracted": 2, "loaded": 2}
    await asyncio.to_thread(enter, tmp_path / ".loom/loom.db", tally)
    with pytest.raises(UntrueBooks, match="the destination holds 1 rows, not the 2 that were loaded"):
        await watch.end(0)


def enter(path, tally):
    """Enter a run that succeeded, by its own account."""
    values = {
        "run_id": "run_1", "pipeline_name": "p", "pipeline_version": "1", "execution_date": "2026-01-01",
        "started_at": "2026-01-01", "completed_at": "2026-01-01", "status": "succeeded", "plan": "x", "params": "{}",
        "definition": json.dumps(RUN["definition"]), "tally": json.dumps(tally), "placed": json.dumps(RUN["placed"]),
        "destination": "out.csv", "epoch": 1, "slice_batches": 1, "credit_window": 1,
    }  # fmt: skip
    batch = {
        "run_id": "run_1", "batch_id": "b1", "partition": 0, "slice": 0, "position": 0, "stage": "load",
        "state": "done", "extracted": 2, "loaded": 2, "kept": 0, "seconds": "{}", "latency": "{}",
        "updated_at": "2026-01-01",
        **dict.fromkeys(("transformed", "passed", "unscored", "rejected", "skipped", "quarantined", "cancelled"), 0),
        **dict.fromkeys(("calls_made", "calls_from_cache", "tokens_in", "tokens_out", "cost_transform"), 0),
        "cost_evaluate": 0,
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA foreign_keys = OFF")
        for table, row in (("pipeline_runs", values), ("batches", batch)):
            columns = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))
