"""Tests what unusable arguments lead to: a sentence, exit code 2, and one document where JSON is asked for."""

import errno
import json
import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from loom.cli.app import tell
from loom.cli.root_command import command
from loom_common.domain.values.durations import Duration
from loom_coordinator.admin.app import command as coordinator_command

DAYS = ("--param", "day", "--from", "2024-01-01", "--to", "2024-01-02")
BEYOND = str(2**63)
"""Does not fit into an integer of a database."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing-of-that-name",),
        ("run",),
        ("run", "a", "b"),
        ("history", "--limit", "many"),
        ("history", "--nothing"),
        ("history", "--limit"),
        ("status", "\udcff"),
        ("quarantine", "list", "--stage", "none"),
    ],
)
def test_stdout_is_one_document_where_arguments_cannot_be_used(loom, arguments):
    code, out, err = loom(*arguments, "--format", "json")
    assert code == 2
    said = json.loads(out)
    assert said["mistakes"] == []
    assert said["error"] in err
    assert loom(*arguments)[1] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("history", "--limit", BEYOND), "expected at most"),
        (("quarantine", "list", "--limit", BEYOND), "expected at most"),
        (("cache", "clear", "--older-than", f"{BEYOND}d", "--yes"), "expected at most 36500d"),
        (("resume", "run_000000000000", "--budget", "0"), "expected at least"),
        (("resume", "run_000000000000", "--budget", "inf"), "expected at most"),
        (("backfill", "p.yaml", *DAYS, "--budget", "0"), "expected at least"),
        (("backfill", "p.yaml", *DAYS, "--budget", "inf"), "expected at most"),
        (("schema", "infer", ""), "No source is named"),
        (("run", "x" * 5000), "There is no pipeline named"),
        (("run", f"{'x' * 5000}.yaml"), "no such file"),
        (("cost", f"{'x' * 5000}/a.yaml", "--estimate"), "no such file"),
    ],
)
def test_what_is_too_large_or_too_long_is_told_as_any_other_mistake(loom, arguments, said):
    code, _, err = loom(*arguments)
    assert code == 2
    assert said in err
    assert "unexpected" not in err


@pytest.mark.parametrize("far", ["36501d", "876001h", "99999999999d", f"{'9' * 400}s"])
def test_a_time_that_no_date_can_be_reckoned_with_is_refused(far):
    with pytest.raises(ValidationError, match="at most 36500d"):
        TypeAdapter(Duration).validate_python(far)
    assert TypeAdapter(Duration).validate_python("36500d")


def options(program):
    for each in program.commands.values():
        if getattr(each, "commands", None):
            yield from options(each)
        else:
            yield from (param for param in each.params if param.param_type_name == "option")


@pytest.mark.parametrize("program", [command(("--help",)), coordinator_command()], ids=["loom", "loom-coordinator"])
def test_a_number_of_rows_fits_into_an_integer_of_a_database(program):
    limits = [each for each in options(program) if "--limit" in each.opts]
    assert limits
    assert all(each.max and each.max < 2**63 for each in limits)


def test_a_file_that_cannot_be_written_is_told_with_its_name_and_a_remedy(capsys):
    assert tell(PermissionError(errno.EACCES, "Permission denied", "x/pipeline.yaml"), verbose=False) == 1
    assert capsys.readouterr().err == (
        "error: x/pipeline.yaml: permission denied. Let the user who runs Loom write there, or run Loom where it may.\n"
    )


def test_what_a_library_logs_while_a_command_waits_stands_on_no_console():
    """Tests a command in a process of its own: here pytest takes what is logged."""
    code = (
        "import asyncio, logging\n"
        "from loom.cli.commands.follow import wait_for\n"
        "wait_for(asyncio.sleep(0))\n"
        "logging.getLogger('aiormq.connection').error('error when creating transport')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
