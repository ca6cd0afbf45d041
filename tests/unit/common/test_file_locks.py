"""Tests locks of files: by POSIX, by a twin of what Windows has, and where there is neither."""

from __future__ import annotations

import threading

import pytest

from loom_common import file_locks
from loom_dev.waiting import patience


class Windows:
    """Locks the first byte of files, as `msvcrt` does: a file that is closed no longer has its lock."""

    LK_NBLCK = 2

    def __init__(self):
        self._held = []

    def locking(self, descriptor, mode, number):
        import os

        assert (mode, number) == (self.LK_NBLCK, 1)
        place = os.fstat(descriptor).st_ino
        if any(not file.closed and os.fstat(file.fileno()).st_ino == place for file in self._held):
            raise PermissionError(13, "Permission denied")
        self._held.append(next(each for each in self.files if not each.closed and each.fileno() == descriptor))


@pytest.fixture(params=["posix", "windows"])
def opened(request, tmp_path, monkeypatch):
    """Provide a function that opens the same file once more, on either system."""
    files = []
    if request.param == "windows":
        windows = Windows()
        windows.files = files
        monkeypatch.setattr(file_locks, "fcntl", None)
        monkeypatch.setattr(file_locks, "msvcrt", windows, raising=False)

    def once_more():
        files.append((tmp_path / "lock").open("w"))
        return files[-1]

    yield once_more
    for file in files:
        file.close()


def test_a_lock_is_held_until_its_file_is_closed(opened):
    holder = opened()
    file_locks.lock(holder)
    assert file_locks.is_locked(opened())
    holder.close()
    assert not file_locks.is_locked(opened())


def test_whoever_wants_a_lock_waits_for_it(opened):
    holder, second = opened(), opened()
    file_locks.lock(holder)
    waiting = threading.Thread(target=file_locks.lock, args=(second,), daemon=True)
    waiting.start()
    holder.close()
    waiting.join(patience(10))
    assert not waiting.is_alive()
    assert file_locks.is_locked(opened())


def test_nothing_is_locked_where_there_is_nothing_to_lock_with(tmp_path, monkeypatch):
    monkeypatch.setattr(file_locks, "fcntl", None)
    monkeypatch.setattr(file_locks, "msvcrt", None, raising=False)
    with (tmp_path / "lock").open("w") as file:
        file_locks.lock(file)
        assert not file_locks.is_locked(file)
