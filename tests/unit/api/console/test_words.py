"""Tests how the pages write times, values and what a run waits for."""

import dataclasses
import datetime as dt

import pytest

from loom_api.console.shown import definitions, waiting, words
from loom_api.console.shown.rendering import link
from loom_coordinator.queries.run_details import (
    BatchCounts,
    CallCounts,
    PartitionLine,
    RunDetails,
    StageLine,
)
from support.run_rows import NOW, a_run

DETAILS = RunDetails(
    line=None,
    model=None,
    prompt_version=None,
    destination="out.csv",
    epoch=1,
    replay_of=None,
    deadline=None,
    stages=[StageLine("extract", 9, 9, 0.1, 0), StageLine("transform", 9, 4, 0.1, 2), StageLine("load", 4, 4, 0.1, 1)],
    partitions=PartitionLine(1, 0),
    batches=BatchCounts(2, 3),
    credit_window=4,
    records={},
    records_per_second=1.0,
    remaining=None,
    eta_seconds=None,
    cost_by_stage={},
    calls=CallCounts(0, 0),
    last_kept=[],
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "just now"),
        (4.9, "just now"),
        (7, "7 s ago"),
        (61, "1 min ago"),
        (7_200, "2 h ago"),
        (200_000, "2 d ago"),
        (-180, "in 3 min"),
    ],
)
def test_a_time_is_told_by_how_long_ago_it_was(seconds, said):
    assert words.ago(NOW - dt.timedelta(seconds=seconds), NOW) == said


def test_a_time_is_written_with_its_zone_whatever_zone_it_comes_in():
    assert words.clock("2026-01-02T05:04:05+02:00") == "2026-01-02 03:04:05 UTC"
    assert words.clock("2026-01-02T03:04:05") == "2026-01-02 03:04:05 UTC"


def test_what_is_not_asked_for_is_not_in_an_address():
    assert link("/runs", pipeline="a b&c", status=None, after="") == "/runs?pipeline=a+b%26c"


@pytest.mark.parametrize(
    ("status", "run", "details", "said"),
    [
        (
            "running",
            {},
            {},
            [
                "In work or waiting: 2 batches at transform, 1 batch at load.",
                "The extractor reads the source.",
            ],
        ),
        (
            "running",
            {},
            {"batches": BatchCounts(2, 4)},
            [
                "In work or waiting: 2 batches at transform, 1 batch at load.",
                "The extractor waits until a batch ends: 4 may be in flight at once.",
            ],
        ),
        (
            "running",
            {"notice": "transform pauses: api is away; next probe in 60 s, at 03:05:05 UTC. Timeout"},
            {"stages": [], "remaining": 4},
            ["transform pauses: api is away; next probe in 60 s, at 03:05:05 UTC. Timeout"],
        ),
        (
            "running",
            {},
            {"stages": [], "partitions": PartitionLine(3, 1)},
            ["The extractor reads the source: 1 of 3 partitions are read to the end."],
        ),
        (
            "running",
            {"stream": "stream_1"},
            {"stages": []},
            ["The extractor reads records as they come, until the window ends."],
        ),
        ("running", {"finalizing": True}, {}, ["All records have ended. The loader puts the rows in place."]),
        (
            "interrupted",
            {},
            {},
            ["The process that ran it has ended. `loom resume run_1` goes on where it stopped."],
        ),
        (
            "paused",
            {"reason": "budget_exhausted", "notice": "The budget is spent."},
            {},
            ["The budget is spent.", "It is paused. `loom resume run_1 --budget USD` goes on."],
        ),
        ("succeeded", {}, {}, []),
    ],
)
def test_what_a_run_waits_for_is_told_in_sentences(status, run, details, said):
    found = waiting.sentences(a_run(**run), status, dataclasses.replace(DETAILS, **details), NOW)
    assert found == said


def test_a_definition_is_shown_without_secrets_and_with_its_references():
    shown = definitions.as_yaml(
        {
            "name": "p",
            "extract": {"source": "postgres://me:pa55@db/x?token=t0ken", "headers": {"Authorization": "Bearer b34rer"}},
            "transform": {"prompt": "one\ntwo\n", "api_key": "${KEY}", "max_tokens": 5},
            "monitoring": {"alerts": {"webhook": "https://hooks.example/h00k"}},
        }
    )
    assert not [secret for secret in ("pa55", "t0ken", "b34rer", "h00k") if secret in shown]
    assert "api_key: ${KEY}" in shown
    assert "max_tokens: 5" in shown
    assert "prompt: |\n    one\n    two\n" in shown


def test_the_lines_that_changed_between_definitions_are_told_by_their_signs():
    assert definitions.changes("a\nb\nc", "a\nB\nc")[1:] == [(" ", "a"), ("-", "b"), ("+", "B"), (" ", "c")]
    assert definitions.changes("a", "a") == []
