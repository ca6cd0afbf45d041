"""Finds threads that compute on when their test is over.

One such thread leaves every later test of the same process a fraction of the processor, and no test fails by it."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterable
from pathlib import Path

MOST_SECONDS = 0.25
"""The processor time that a thread may take until it ends or waits."""
LOOKS = 25
"""Says how often a thread is looked at that takes a little, until it counts as one that wakes up now and then."""
LITTLE_SECONDS = 0.002
"""The processor time that such a thread takes from one look to the next, on average."""
_LOOK_SECONDS = 0.02


def computing(threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Return those that compute, and neither end nor wait after a moment. On a very busy machine it may miss one."""
    return [thread for thread in threads if _computes(thread)]


def _computes(thread: threading.Thread) -> bool:
    began = before = _processor_seconds(thread)
    for look in itertools.count(1):
        time.sleep(_LOOK_SECONDS)
        now = _processor_seconds(thread)
        if not thread.is_alive() or (now == before and not _may_run(thread)):
            return False
        if now - began > MOST_SECONDS:
            return True
        if look >= LOOKS and now - began < look * LITTLE_SECONDS:
            return False
        before = now
    return False


def _processor_seconds(thread: threading.Thread) -> float:
    """Return the processor time that a thread has taken; 0 where it has ended."""
    return int((_of_the_kernel(thread, "schedstat") or "0").split()[0]) / 1e9


def _may_run(thread: threading.Thread) -> bool:
    """Tell whether a thread computes, or would if a processor were free."""
    return _of_the_kernel(thread, "stat").rpartition(")")[2].split()[:1] == ["R"]


def _of_the_kernel(thread: threading.Thread, name: str) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/self/task/{thread.native_id}/{name}").read_text()
    return ""
