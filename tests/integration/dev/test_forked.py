"""Tests that a fork of the tests' commands is a process as any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loom_dev.waiting import patience, until
from support.forked import Forked, fork

TESTS = Path(__file__).parents[2]


@pytest.fixture
def waiting(tmp_path) -> Forked:
    """Provide a process that runs until it is told to end."""
    with (tmp_path / "out").open("wb") as out:
        return fork("loom", ("simulate-model", "--port", "0"), tmp_path, os.environ, (out.fileno(), out.fileno()))


def test_it_runs_until_it_is_killed(waiting):
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.1)
    assert waiting.poll() is None
    waiting.kill()
    assert waiting.wait(patience(20)) == waiting.poll() == -signal.SIGKILL


def test_a_signal_that_comes_too_late_reaches_no_other_process(waiting):
    waiting.kill()
    waiting.wait(patience(20))
    waiting.pid = os.getpid()
    waiting.send_signal(signal.SIGKILL)


def test_it_runs_a_package_in_its_folder_with_its_environment(tmp_path):
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "__main__.py").write_text("import os, sys; print(os.getcwd(), os.environ, sys.argv[1:])")
    with (tmp_path / "out").open("w+") as out:
        ended = fork("told", ("a", "b"), tmp_path, {"ONLY": "this"}, (out.fileno(), out.fileno())).wait(patience(20))
        out.seek(0)
        assert (ended, out.read()) == (0, f"{tmp_path} environ({{'ONLY': 'this'}}) ['a', 'b']\n")


def test_it_ends_with_the_server_of_commands_even_where_that_is_killed(tmp_path):
    code = (
        "import os, sys; from support.forked import _server, fork; from pathlib import Path; "
        "print(fork('loom', ('simulate-model', '--port', '0'), Path.cwd(), os.environ, (2, 2)).pid, flush=True); "
        "_server()._process.kill(); sys.stdin.read()"
    )
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=environ) as owner:
        pid = int(owner.stdout.readline())
        assert until(lambda: not Path(f"/proc/{pid}").exists(), 20)
        owner.kill()


def test_a_process_whose_parent_ended_before_it_could_ask_to_end_with_it_ends():
    code = """
import os, sys, time
from loom_dev.backends.parent_watchdog import end_with
parent = os.getpid()
if not os.fork():
    while os.getppid() == parent:
        time.sleep(0.001)
    print("orphan", flush=True)
    end_with(parent)
    print("goes on", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=patience(20), check=True)
    assert ended.stdout == b"orphan\n"
