"""Tests that stdout is one document, always: whatever else writes there, and where a command comes to no result."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from loom_dev.waiting import patience
from support.command import loom
from support.projects import project, python

LOUD = """
import ctypes, logging, os, subprocess, sys, warnings

print("as it is imported")


def judged(record):
    print("a line")
    sys.stdout.write("a word")
    sys.__stdout__.write("another way")
    os.write(1, b"a descriptor")
    ctypes.CDLL(None).puts(b"a C library, which writes as the process ends")
    subprocess.run(["echo", "a program"], check=True)
    warnings.warn("a warning")
    logging.getLogger("user").error("a log")
    return {"score": int(record["stars"]) / 5}


def good(output, record):
    print("an evaluator")
    return output["score"]
"""
JUDGED = {"evaluators": [{"type": "python", "name": "good", "function": "transforms:good", "threshold": 0.5}]}


@pytest.fixture
def loud(tmp_path):
    (tmp_path / "loom.yaml").touch()
    return project(tmp_path, 4, transform=python(), evaluate=JUDGED, code=LOUD, destination="out.jsonl")


async def test_stdout_is_one_document_whatever_the_users_code_writes(loud):
    ran = await loom(loud.folder, "run", "pipeline.yaml", "--format", "json")
    run_id = ran.report["run_id"]
    for words in ("a line", "a word", "another way", "a descriptor", "a C library", "a program", "an evaluator"):
        assert words in ran.err, words
    commands = (
        "validate pipeline.yaml",
        "cost pipeline.yaml --estimate",
        f"evaluate {run_id}",
        f"quarantine retry {run_id}",
        "run pipeline.yaml --dry-run",
    )
    for command in commands:  # those that load or run the user's code
        ended = await loom(loud.folder, *shlex.split(command), "--format", "json")
        json.loads(ended.out)


async def test_stdout_is_one_document_where_a_command_comes_to_no_result(loud):
    for command in ("status run_none", "resume run_none", "run nowhere.yaml"):
        ended = await loom(loud.folder, *shlex.split(command), "--format", "json")
        assert ended.code != 0
        assert json.loads(ended.out)["error"] in " ".join(ended.err.split()), command


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("--help", 1),
        ("history --help", 1),
        ("connectors csv", 1),
        ("connectors csv --format json", 1),
        ("history --limit many --format json", 2),
    ],
)
def test_a_stdout_that_takes_nothing_is_told_in_a_sentence(tmp_path, command, code):
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-m", "loom", *shlex.split(command)],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=patience(120), check=False,
        )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "ignored" not in ended.stderr
    if code == 1:
        assert ended.stderr.startswith("error: The result cannot be written to stdout: No space left on device.")


async def test_a_table_too_has_stdout_for_itself(loud):
    ran = await loom(loud.folder, "run", "pipeline.yaml")
    assert ran.out.startswith("succeeded")
    assert "a line" not in ran.out
    assert "Usage: loom run" in (await loom(loud.folder, "run", "--help")).out


async def test_what_the_report_says_is_not_logged_besides(tmp_path):
    (tmp_path / "loom.yaml").touch()
    made = project(tmp_path, 4, transform=python(), code="def judged(record):\n    raise ValueError('no')\n",
                   extract={"on_failure": "abort"}, destination="out.jsonl")  # fmt: skip
    made.say(transform={**python(), "on_failure": "abort"})
    ran = await loom(tmp_path, "run", "pipeline.yaml")
    assert "ValueError: no" in ran.out
    assert "ValueError: no" not in ran.err
