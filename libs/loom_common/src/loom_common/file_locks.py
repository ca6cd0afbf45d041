"""Locks files against other processes, by what the system has: `flock` of POSIX, or `msvcrt` of Windows.

A lock belongs to an open file, and the system drops it when the file is closed or its process has died. Where there is
neither module (Python in a browser), there are no other processes either, and nothing is locked."""

from __future__ import annotations

import time
from typing import IO, Any

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has none
    try:
        import msvcrt as _msvcrt
    except ImportError:
        msvcrt: Any = None
    else:
        msvcrt = _msvcrt

_AGAIN_SECONDS = 0.05
"""Windows has no call that waits for a lock as long as it takes."""


def lock(file: IO[Any]) -> None:
    """Lock the file until it is closed; wait as long as another process has it."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)
        return
    while not _taken_on_windows(file):
        time.sleep(_AGAIN_SECONDS)


def is_locked(file: IO[Any]) -> bool:
    """Tell whether another process, or another open file of this one, has the lock. The caller's file then has it until
    it is closed, where nobody had."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
    return not _taken_on_windows(file)


def _taken_on_windows(file: IO[Any]) -> bool:
    """Lock the file's first byte, which need not be there. False where somebody else has it."""
    if msvcrt is None:
        return True
    file.seek(0)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
