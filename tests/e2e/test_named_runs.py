"""Tests commands that may be given a run: what they say where it is not known, and which of them take `latest`."""

from __future__ import annotations

import pytest

from loom.cli.root_command import application
from support.command import commands_given_a_run
from support.projects import PASSTHROUGH, project

UNKNOWN = "run_000000000000"
OF_A_RUN = {
    ("status",): (UNKNOWN,),
    ("resume",): (UNKNOWN,),
    ("drain",): (UNKNOWN,),
    ("promote",): (UNKNOWN,),
    ("rollback",): (UNKNOWN,),
    ("cancel",): (UNKNOWN,),
    ("cost",): ("scored", "--run-id", UNKNOWN),
    ("metrics",): ("scored", "--run-id", UNKNOWN),
    ("lineage",): ("scored", "--run-id", UNKNOWN),
    ("graph",): ("pipeline.yaml", "--run-id", UNKNOWN),
    ("label",): (UNKNOWN, "--report"),
    ("evaluate",): (UNKNOWN,),
    ("diff",): (UNKNOWN, UNKNOWN),
    ("compare",): (UNKNOWN, UNKNOWN),
    ("show",): (UNKNOWN,),
    ("report",): (UNKNOWN, "--html", "run.html"),
    ("prompt", "try"): (UNKNOWN, "pipeline.yaml"),
    ("quarantine", "list"): ("--run-id", UNKNOWN),
    ("quarantine", "show"): ("b", "--run-id", UNKNOWN),
    ("quarantine", "export"): ("kept.csv", "--run-id", UNKNOWN),
    ("quarantine", "retry"): (UNKNOWN,),
    ("quarantine", "discard"): (UNKNOWN, "--all"),
    ("quarantine", "stats"): ("--run-id", UNKNOWN),
}
"""Names every command that may be given a run, with arguments that name one that does not exist."""


@pytest.fixture
def made(tmp_path):
    return project(tmp_path, 2, name="scored", transform=PASSTHROUGH)


def named(run_id, arguments):
    """Return the arguments of a command with another run in them."""
    return [run_id if each == UNKNOWN else each for each in arguments]


def test_every_command_that_may_be_given_a_run_is_in_the_table():
    assert commands_given_a_run(application()) == set(OF_A_RUN)


def test_a_run_that_is_not_known_is_told_with_the_place_and_how_to_list_runs(loom, made, tmp_path):
    loom("run", str(made.pipeline))
    for command, arguments in OF_A_RUN.items():
        ended = loom(*command, *arguments)
        assert (ended.code, ended.out) == (2, ""), command
        assert f"There is no run {UNKNOWN} in the state file {tmp_path}/.loom/loom.db. `loom history`" in ended.err
    assert not (tmp_path / "kept.csv").exists()


def test_a_command_takes_latest_where_its_help_says_so(loom, made):
    taking = [command for command in OF_A_RUN if "`latest`" in loom(*command, "--help").out]
    assert len(taking) >= 9
    for command in taking:
        ended = loom(*command, *named("latest", OF_A_RUN[command]))
        assert (ended.code, "There is no run yet" in ended.err) == (2, True), command


def test_a_run_of_another_pipeline_is_told(loom, made):
    run_id = loom("run", str(made.pipeline), "--format", "json").report["run_id"]
    made.say(name="other")
    of_another = ("lineage", "other"), ("cost", "other"), ("graph", "pipeline.yaml")
    for command in (*of_another, ("quarantine", "list", "--pipeline", "other")):
        ended = loom(*command, "--run-id", run_id)
        assert (ended.code, ended.out) == (2, ""), command
        assert f"Run {run_id} is one of 'scored', not of 'other'. `loom history other`" in ended.err
