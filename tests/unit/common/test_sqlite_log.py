"""Tests that a process that opens a SQLite file while another does waits for it."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from loom_common.sqlite.log import use_write_ahead_log
from loom_dev.waiting import patience


class Refused:
    """Represents a cursor that says when a statement of its was refused for the first time."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self.refused = threading.Event()

    def execute(self, statement: str, /) -> None:
        try:
            self._cursor.execute(statement)
        except sqlite3.OperationalError:
            self.refused.set()
            raise

    def fetchone(self):
        return self._cursor.fetchone()


@pytest.fixture
def held(tmp_path):
    """Provide a file that another connection has to itself, and a connection that finds it so."""
    path = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as holder,
        closing(sqlite3.connect(path, timeout=0, check_same_thread=False)) as other,
    ):
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        yield holder, other


def test_the_file_is_switched_once_the_other_is_done(held):
    holder, other = held
    cursor = Refused(other.cursor())
    with ThreadPoolExecutor(1) as pool:
        switching = pool.submit(use_write_ahead_log, cursor, patience(60))
        assert cursor.refused.wait(patience(20))
        holder.execute("COMMIT")
        switching.result(patience(20))
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_it_does_not_wait_for_ever(held):
    _, other = held
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(other.cursor(), 0.0)


def test_a_file_that_is_switched_stays_so(tmp_path):
    for _ in range(2):
        with closing(sqlite3.connect(tmp_path / "a.db")) as db:
            use_write_ahead_log(db.cursor(), 0.0)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
