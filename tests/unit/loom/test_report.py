"""Tests the report for people, and how numbers are written."""

import io

import pytest
from rich.console import Console

from loom.cli.output import report, terminal
from loom.cli.output.step_counts import Records

RUN = {
    "run_id": "run_0123456789ab",
    "pipeline": "reviews",
    "version": "2.1.0",
    "status": "succeeded",
    "error": None,
    "records": {
        "extracted": 3708, "transformed": 3708, "passed": 2220, "rejected": 1488,
        "quarantined": 0, "skipped": 0, "cancelled": 0, "loaded": 2220,
    },
    "evaluation": {
        "agrees": {"mean": 0.5987, "std": 0.49, "min": 0.0, "max": 1.0, "threshold": 1.0, "pass_rate": 0.5987},
        "[bold]": {"mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0, "threshold": None, "pass_rate": 1.0},
    },
    "cost": {"total": 0.0, "transform": 0.0, "evaluate": 0.0},
    "calls": {"made": 0, "from_cache": 0},
    "latency": {"p50": 0.00012, "p95": 0.0004, "p99": None},
    "duration_seconds": 4.0,
    "destination": "results/scores.csv",
}  # fmt: skip


def shown(run, flags="", encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=100, highlight=False, color_system=None, legacy_windows=False)
    report.print_report(run, console, flags)
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_the_report_says_everything_about_a_run():
    seen = shown(RUN)
    for words in (
        "succeeded  reviews 2.1.0  run_0123456789ab",
        "3,708    2,220      1,488",
        "0.599   0.490   0.000   1.000           1       59.9%",
        "4.0 s (927 records/s)",
        "p50 0.12 ms  p95 0.40 ms  p99 -",
        "$0.0000",
        "0 made, 0 from cache",
        "results/scores.csv",
        "loom quarantine list --run-id run_0123456789ab",
        "the 1,488 records kept back",
        "loom lineage reviews --run-id run_0123456789ab",
        "loom status run_0123456789ab",
    ):
        assert words in seen


def test_no_line_ends_with_blanks():
    assert [line for line in shown(RUN).splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("unchanged", [True, False])
def test_a_run_that_ended_without_putting_anything_there_says_that_its_place_is_unchanged(unchanged):
    seen = shown({**RUN, "unchanged": unchanged})
    assert ("results/scores.csv  (unchanged: this run put nothing there)" in seen) is unchanged


def test_names_are_shown_as_they_are_not_as_markup():
    assert "[bold]" in shown(RUN)


def test_the_report_fits_into_a_hundred_columns_and_into_ascii():
    seen = shown(RUN, encoding="ascii")
    assert max(map(len, seen.splitlines())) <= 100


def test_a_clean_run_does_not_point_to_the_quarantine():
    clean = {**RUN, "records": {**RUN["records"], "rejected": 0}}
    assert "quarantine" not in "".join(command for command, _ in report.next_commands(clean))


def test_an_interrupted_run_points_to_resume_first():
    assert report.next_commands({**RUN, "status": "interrupted"})[0][0] == "loom resume run_0123456789ab"


def test_a_run_that_failed_points_to_resume_first():
    assert report.next_commands({**RUN, "status": "failed", "error": "No key."})[0] == (
        "loom resume run_0123456789ab",
        "finish it, once its cause is mended",
    )


def test_commands_carry_the_flags_the_run_had():
    assert all(command.endswith(" --cluster") for command, _ in report.next_commands(RUN, " --cluster"))


def test_an_error_stands_at_the_top():
    seen = shown({**RUN, "status": "failed", "error": "The source is gone."})
    assert seen.splitlines()[:2] == ["failed  reviews 2.1.0  run_0123456789ab", "The source is gone."]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.04, "0.0 s"), (59.94, "59.9 s"), (65, "1 min 05 s"), (3599.9, "1 h 00 min"), (7380, "2 h 03 min")],
)
def test_durations(seconds, text):
    assert terminal.duration(seconds) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "-"),
        (0, "$0.0000"),
        (0.0000014, "$0.0000014"),
        (0.00012, "$0.0001"),
        (9.5, "$9.5000"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money(usd, text):
    assert terminal.money(usd) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), ("", "-"), ("a\n  b", "a b"), ({"é": [1]}, '{"é": [1]}'), (0, "0"), (False, "false")],
)
def test_values_stand_on_one_line(value, text):
    assert terminal.compact(value) == text


@pytest.mark.parametrize("width", [40, 80, 160])
def test_commands_that_follow_are_whole_whatever_the_width_and_name_this_run_alone(width):
    file = io.StringIO()
    report.print_report(RUN, Console(file=file, width=width, highlight=False, color_system=None), " --cluster")
    lines = [line.strip() for line in file.getvalue().splitlines()]
    for command, why in report.next_commands(RUN, " --cluster"):
        assert RUN["run_id"] in command
        assert any(line.startswith(command) for line in lines)
        assert any(line.endswith(why) for line in lines)


def test_one_record_is_one_record():
    one = {**RUN, "records": {**RUN["records"], "rejected": 1}}
    assert "the record kept back" in shown(one)
    assert "one of them" not in shown(one)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "$0.1678 for 3,708 records"),
        (-0.17, "$0.1678 for 3,708 records; a record cost 17.0% less"),
        (0.5, "$0.1678 for 3,708 records; a record cost 50.0% more"),
        (12.801, "$0.1678 for 3,708 records; a record cost 13.8 times as much"),
    ],
)
def test_how_far_an_estimate_was_off_is_said_so_that_it_can_be_pictured(error, text):
    assert report.of_estimate({"cost": 0.1678, "records": 3708, "error": error}) == text


@pytest.mark.parametrize(("width", "lines"), [(80, 2), (160, 1)])
def test_counts_of_records_are_never_cut_whatever_the_width_of_the_terminal(width, lines):
    counts = dict.fromkeys(("extracted", "derived", "grouped", "filtered", "passed", "rejected", "loaded"), 12345)
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(Records({**counts, "quarantined": 0}))
    said = console.file.getvalue()
    assert set(said.split()) == {"Records", *counts, "quarantined", "12,345", "0"}
    assert len(said.splitlines()) == 2 * lines
    assert max(map(len, said.splitlines())) <= width
