"""Finds threads that compute on when their test is over.

One such thread leaves every later test of the same process a fraction of the processor, and no test fails by it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path

IDLE_SECONDS = 0.002
"""The processor time within one look that a thread which only waits may take."""
MOST_SECONDS = 0.25
"""The processor time that a thread may take until it ends or waits."""
_LOOK_SECONDS = 0.02


def computing(threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Return those that compute, and neither end nor wait after a moment."""
    return [thread for thread in threads if _computes(thread)]


def _computes(thread: threading.Thread) -> bool:
    began = before = _processor_seconds(thread)
    while thread.is_alive():
        time.sleep(_LOOK_SECONDS)
        now = _processor_seconds(thread)
        if now - before < IDLE_SECONDS:
            return False
        if now - began > MOST_SECONDS:
            return True
        before = now
    return False


def _processor_seconds(thread: threading.Thread) -> float:
    """Return the processor time that a thread has taken; 0 where it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9
    return 0.0
