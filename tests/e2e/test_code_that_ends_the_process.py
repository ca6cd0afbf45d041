"""Tests `loom run` of code that would end its process, or never lets it end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loom_dev.waiting import patience
from support.command import loom

PIPELINE = """\
name: ends
extract: {source: numbers.csv, key: id}
transform: {type: python, function: 'work:f', output: {x: string}}
load: {destination: out.csv}
"""
WORK = """\
import atexit, os, signal, sys, threading, time

def f(record):
    if record["id"] == "3":
        LINE
    return {"x": "fine"}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "numbers.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(6)))
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    return tmp_path


def write(project: Path, line: str) -> None:
    (project / "work.py").write_text(WORK.replace("LINE", line))


@pytest.mark.parametrize("line", ["os._exit(7)", "os.kill(os.getpid(), signal.SIGKILL)", "os.close(2)"])
async def test_the_record_whose_code_would_end_the_process_is_kept_back_alone(project, line):
    write(project, line)
    ended = await loom(project, "run", "pipeline.yaml")
    assert ended.code == 0, ended.err
    assert "1 x RefusedToForeignCode: os." in ended.words
    assert len((project / "out.csv").read_text().splitlines()) == 1 + 5


@pytest.mark.parametrize("line", ["sys.stdout.close(); sys.stderr.close()", "sys.stdout = sys.stderr = None"])
async def test_streams_that_code_closes_or_removes_stay_those_of_the_command(project, line):
    write(project, "pass")
    (project / "work.py").write_text(f"import sys\n{line}\n" + WORK.replace("LINE", "pass"))
    ended = await loom(project, "run", "pipeline.yaml")
    assert ended.code == 0, ended.err
    assert "succeeded" in ended.out
    assert "started" in ended.err


def run(project: Path, *, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "loom", "run", "pipeline.yaml"]
    return subprocess.run(command, cwd=project, stdout=stdout, stderr=stderr, check=False, timeout=patience(120.0))


def test_a_function_that_code_gives_to_atexit_and_that_never_ends_does_not_keep_the_process(project):
    write(project, "atexit.register(threading.Event().wait)")
    ended = run(project)
    assert (ended.returncode, b"succeeded" in ended.stdout) == (0, True)
    assert b"the process ends without it" in ended.stderr


def test_a_function_that_code_gives_to_atexit_and_that_would_end_the_process_is_told_in_a_sentence(project):
    write(project, "atexit.register(os._exit, 3)")
    ended = run(project)
    assert (ended.returncode, b"succeeded" in ended.stdout) == (0, True)
    assert b"after the end of the command: os._exit() is refused to code" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_full_disk_under_stderr_fails_no_run_and_under_stdout_is_told(project):
    write(project, "pass")
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        silent, lost = run(project, stderr=full), run(project, stdout=full)
    finally:
        os.close(full)
    assert (silent.returncode, b"succeeded" in silent.stdout) == (0, True)
    assert lost.returncode == 1
    assert b"error: The result cannot be written to stdout: No space left on device" in lost.stderr
