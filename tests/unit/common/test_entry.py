"""Tests how a process of Loom begins and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loom_dev.waiting import patience

BEGUN = """
import atexit, os, sys, types
from loom_common.service import entry

entry.begin()

class Kept:
    def __del__(self, write=os.write):
        write(2, b"taken apart\\n")

module = sys.modules["kept"] = types.ModuleType("kept")
module.kept = Kept()
del module
atexit.register(print, "called at the end")
print("said")
"""
DONE = "entry.see_that_it_ends(3)\nsys.exit(3)"


def _ended(code: str, stdout: Path | int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    limit = patience(30)
    return subprocess.run(
        command, check=False, env=environ, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=limit
    )


@pytest.mark.parametrize(("rest", "left"), [(DONE, ""), ("sys.exit(3)", "taken apart\n")])
def test_a_process_whose_work_is_done_says_all_and_ends_without_being_taken_apart(rest, left):
    ended = _ended(BEGUN + rest)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "said\ncalled at the end\n", left)


def test_a_stream_that_cannot_be_written_out_is_told_at_the_end():
    with Path("/dev/full").open("w") as full:
        ended = _ended(BEGUN + DONE, full)
    assert ended.returncode == 120  # Python's own, where it cannot write out what is left
    assert "No space left on device" in ended.stderr
