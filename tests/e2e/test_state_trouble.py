"""Tests the files of Loom's own state: full, refused, broken, of a newer Loom, or made by two processes at once. It is
said once, with file and remedy; nothing is lost, and resume goes on."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from loom_dev.waiting import patience
from support.command import loom, runs

PIPELINE = """\
name: {name}
extract: {{source: in.csv, key: id, batch_size: 5}}
transform: {{type: passthrough}}
load: {{destination: out_{name}.jsonl}}
"""
RECORDS = 6000
ROUNDS = 4
FILE_BYTES = 900_000
"""Limits how large a file may become in the test of a full disk: less than the state of that many records needs."""
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
"""A number of Linux, by which `prctl` takes from a process and its programs the right to pass over the modes of
files."""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in.csv").write_text("id,text\n1,a\n2,b\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(PIPELINE.format(name=name))
    return tmp_path


def garbage(folder: Path) -> None:
    (folder / ".loom").mkdir()
    (folder / ".loom" / "loom.db").write_bytes(os.urandom(5000))


def garbage_for_a_journal(folder: Path) -> None:
    (folder / ".loom").mkdir()
    (folder / ".loom" / "journal.db").write_bytes(os.urandom(5000))


def a_folder_for_a_database(folder: Path) -> None:
    (folder / ".loom" / "loom.db").mkdir(parents=True)


def a_file_for_the_folder(folder: Path) -> None:
    (folder / ".loom").touch()


def a_file_for_the_payloads(folder: Path) -> None:
    (folder / ".loom").mkdir()
    (folder / ".loom" / "payloads").touch()


def a_newer_schema(folder: Path) -> None:
    (folder / ".loom").mkdir()
    with closing(sqlite3.connect(folder / ".loom" / "loom.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")


@pytest.mark.parametrize(
    ("spoil", "file", "words"),
    [
        (garbage, ".loom/loom.db", "file is not a database. Move it away"),
        (garbage_for_a_journal, ".loom/journal.db", "file is not a database. Move it away"),
        (a_folder_for_a_database, ".loom/loom.db", "is a directory. Something of another kind stands in its place"),
        (a_file_for_the_folder, ".loom", "file exists. Something of another kind stands in its place"),
        (a_file_for_the_payloads, ".loom/payloads", "Something of another kind stands in its place"),
        (a_newer_schema, ".loom/loom.db", "has the schema 9999, which a newer Loom made"),
    ],
)
async def test_state_that_cannot_be_used_is_said_once_with_file_and_remedy(folder, spoil, file, words):
    spoil(folder)
    ended = await loom(folder, "run", "a.yaml")
    assert (ended.code, ended.out) == (1, "")
    told = [line for line in ended.err.splitlines() if line.startswith("error:")]
    assert len(told) == 1, ended.err
    assert str(folder / file) in told[0]
    assert words in told[0]
    assert "Traceback" not in ended.err


async def run_in_a_child(folder: Path, prepare: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    """Run the pipeline `a` in a child process, which calls `prepare` before it becomes `loom`."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "loom", "run", "a.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=prepare,
        timeout=patience(120),
    )


def small_files() -> None:
    """Prevent, in the child, that a file grows beyond the limit, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


async def test_a_full_disk_ends_the_run_with_one_sentence_and_resume_goes_on(folder):
    rows = "".join(f"{n},{'x' * 5}\n" for n in range(RECORDS))
    (folder / "in.csv").write_text(f"id,text\n{rows}")
    ended = await run_in_a_child(folder, small_files)
    told = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert (ended.returncode, len(told)) == (1, 1), ended.stderr
    assert str(folder / ".loom") in told[0]
    assert "disk" in told[0]
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) < 30
    (run_id,) = runs(folder)
    finished = await loom(folder, "resume", run_id, "--format", "json")
    assert (finished.code, finished.report["records"]["loaded"]) == (0, RECORDS)
    lines = (folder / "out_a.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines)) == RECORDS


def no_rights_of_root() -> None:
    """Take the rights of root from the child: root, too, may write only where the file's mode lets its owner write."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0


async def test_a_project_that_may_not_be_written_is_said_with_what_to_do(folder):
    folder.chmod(0o555)
    ended = await run_in_a_child(folder, no_rights_of_root)
    folder.chmod(0o755)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False), ended.stderr
    assert f"error: {folder}/.loom: permission denied. Let the user who runs Loom write there" in ended.stderr


@pytest.mark.parametrize("_round", range(ROUNDS))
async def test_two_first_runs_of_a_project_at_once_both_succeed(folder, _round):
    first, second = await asyncio.gather(loom(folder, "run", "a.yaml"), loom(folder, "run", "b.yaml"))
    assert (first.code, second.code) == (0, 0), first.err + second.err
