"""Runs something again whenever files change: `loom test --watch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from loom.cli.output import terminal
from loom_common.errors import LoomError

_LOOK_SECONDS = 0.3
_INTERRUPTED = 130
Sleep = Callable[[float], None]


def watched(once: Callable[[], int], files: Callable[[], Iterable[Path]], sleep: Sleep = time.sleep) -> int:
    """Run `once`, and again after each change of a file, until Ctrl-C. Its errors are told, because the next change may
    mend them. Returns the exit code."""
    try:
        while True:
            before = _state(files)
            try:
                once()
            except LoomError as error:
                terminal.say(f"error: {error}")
            terminal.say("Waiting for changes; Ctrl-C ends it.")
            while _state(files) == before:
                sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _state(files: Callable[[], Iterable[Path]]) -> dict[Path, tuple[int, int] | None]:
    """Return when each file was changed last, and its size; None for one that is not there."""
    try:
        return {path: _stamp(path) for path in files()}
    except LoomError:
        return {}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
