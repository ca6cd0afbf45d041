"""Tests Ctrl-C and SIGTERM: once to pause cleanly, twice to stop at once."""

import signal
import subprocess
import sys
import time

import pytest

from loom_dev.waiting import patience
from support.command import Command, loom, runs

WORK = """\
import time
from pathlib import Path

HERE = Path(__file__).parent

def wait(record):
    (HERE / "begun").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return {"twice": 2 * int(record["number"])}
"""
RECORDS = 600
PIPELINE = """\
name: slow
extract: {source: numbers.csv, key: id, batch_size: 5}
transform: {type: python, function: 'work:wait'}
load: {destination: out.jsonl}
"""


@pytest.fixture
def slow(tmp_path):
    """Provide a project whose transform waits until the file `go` is there, and tells by the file `begun` that it
    waits."""
    (tmp_path / "numbers.csv").write_text("id,number\n" + "".join(f"{n},{n}\n" for n in range(RECORDS)))
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    return tmp_path


async def begun(folder) -> Command:
    command = await Command.begin(folder, "run", "pipeline.yaml")
    assert await command.reach((folder / "begun").exists)
    return command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_ctrl_c_or_sigterm_pauses_and_resume_finishes_with_every_record_once(slow, number):
    command = await begun(slow)
    command.interrupt(number)
    (slow / "go").touch()
    ended = await command.end()
    (run_id,) = runs(slow)
    assert (ended.code, ended.out) == (130, "")
    assert f"loom resume {run_id}" in ended.err
    refused = await loom(slow, "run", "pipeline.yaml")
    assert refused.code == 2
    assert f"loom resume {run_id}" in refused.err
    assert f"loom cancel {run_id}" in refused.err
    finished = await loom(slow, "resume", run_id, "--format", "json")
    assert (finished.code, finished.report["records"]["loaded"]) == (0, RECORDS)
    lines = (slow / "out.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines)) == RECORDS


async def test_ctrl_c_again_stops_at_once(slow):
    command = await begun(slow)

    def again() -> bool:
        command.interrupt()
        return False

    assert not await command.reach(again)
    ended = await command.end()
    assert (ended.code, ended.out) == (130, "")
    assert not (slow / "out.jsonl").exists()


async def test_an_interrupted_run_can_be_dropped_and_another_begun(slow):
    command = await begun(slow)
    await command.kill()
    (run_id,) = runs(slow)
    refused = await loom(slow, "run", "pipeline.yaml")
    assert (refused.code, f"{run_id} was interrupted" in refused.err) == (2, True)
    dropped = await loom(slow, "cancel", run_id)
    assert (dropped.code, "cancelled" in dropped.err) == (0, True)
    (slow / "go").touch()
    again = await loom(slow, "run", "pipeline.yaml", "--sample", "10", "--format", "json")
    assert (again.code, again.report["records"]["loaded"]) == (0, 10)


async def test_ctrl_c_ends_within_a_few_seconds_whatever_does_not_come_back(slow):
    command = await begun(slow)
    command.interrupt()
    began = time.monotonic()
    ended = await command.end()
    assert time.monotonic() - began < patience(15.0)
    (run_id,) = runs(slow)
    assert (ended.code, ended.out, "Traceback" in ended.err) == (130, "", False)
    assert f"loom resume {run_id}" in ended.err
    (slow / "go").touch()
    finished = await loom(slow, "resume", run_id, "--format", "json")
    assert (finished.code, finished.report["records"]["loaded"]) == (0, RECORDS)


INTERRUPTED_AT_AN_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{number})

sys.meta_path.insert(0, Interrupting())
sys.argv = {argv!r}
from {entry} import {function}
{function}()
"""


@pytest.mark.parametrize(
    ("entry", "function", "argv", "module"),
    [
        ("loom.cli.app", "main", ["loom", "--help"], "typer"),
        ("loom.cli.app", "main", ["loom", "run", "pipeline.yaml"], "pydantic"),
        ("loom.cli.app", "main", ["loom", "run", "pipeline.yaml"], "sqlalchemy"),
        ("loom.cli.app", "main", ["loom", "history", "slow"], "sqlalchemy"),
        ("loom_coordinator.__main__", "main", ["loom-coordinator", "runs"], "typer"),
        ("loom_evaluator.__main__", "run", ["loom_evaluator"], "structlog"),
    ],
)
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_ctrl_c_and_sigterm_are_a_sentence_from_the_first_import_on(slow, entry, function, argv, module, number):
    code = INTERRUPTED_AT_AN_IMPORT.format(entry=entry, function=function, argv=argv, module=module, number=number)
    done = subprocess.run([sys.executable, "-c", code], cwd=slow, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted: nothing was begun\n")
