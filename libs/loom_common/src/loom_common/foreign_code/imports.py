"""Imports modules that are not Loom's. Importing runs their code, which may do anything, and may never end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from loom_common.foreign_code.process_guard import end_process, foreign
from loom_common.logs import logger

T = TypeVar("T")

IMPORT_SECONDS = 120.0
"""Says how long an import may take. Large machine learning packages on a slow disk take about a minute."""

_LOOK_SECONDS = 0.2
_hanging: dict[str, _Import[object]] = {}


class ImportHangs(Exception):
    """Reports an import that did not end in its time. The message says where it stands."""


class _Import(Generic[T]):
    """Represents an import in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self.value: T | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._go, daemon=True, name="loom-import")
        self.began = time.monotonic()
        self.thread.start()

    def _go(self) -> None:
        process = os.getpid()
        try:
            with foreign():
                self.value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised where the import is waited for
            self.error = error
        if os.getpid() != process:  # a copy of the process, which the module made, must not go on with Loom's work
            end_process(0)

    @property
    def stands_at(self) -> str:
        """Return the line at which it stands: the last one that is neither Python's nor Loom's."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        own = (os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(__file__)), "<frozen")  # noqa: PTH120
        while frame is not None:
            file = frame.f_code.co_filename
            if "site-packages" in file or not file.startswith(own):
                return f" (it stands at {file}:{frame.f_lineno})"
            frame = frame.f_back
        return ""


def imported(name: str, call: Callable[[], T], seconds: float | None = None) -> T:
    """Return what `call` does, which imports the module `name`. Raises what it raises, and `ImportHangs` after
    `seconds`, and at once as long as an earlier import of that name hangs.

    A module that imports another one in turn, by a function of Loom's, waits in the thread that it runs in."""
    if threading.current_thread().name == "loom-import":
        return call()
    limit = IMPORT_SECONDS if seconds is None else seconds
    earlier = _hanging.get(name)
    if earlier is not None and earlier.thread.is_alive():
        raise ImportHangs(f"its import, begun {time.monotonic() - earlier.began:.0f} s ago, goes on{earlier.stands_at}")
    under_way = _Import(call)
    _wait(under_way.thread, under_way.began + limit)
    if under_way.thread.is_alive():
        _hanging[name] = under_way  # type: ignore[assignment]  # nobody reads its value
        raise ImportHangs(f"its import did not end within {limit:g} s{under_way.stands_at}")
    if "structlog" in sys.modules:  # the module may log by it
        logger.begin()
    if under_way.error is not None:
        raise under_way.error
    return under_way.value  # type: ignore[return-value]  # it ended without an error


def _wait(thread: threading.Thread, until: float) -> None:
    """Wait in steps, so that signals are handled meanwhile."""
    while thread.is_alive() and (left := until - time.monotonic()) > 0:
        thread.join(min(left, _LOOK_SECONDS))
