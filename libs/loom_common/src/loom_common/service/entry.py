"""What every process of Loom does before it imports large packages. This module imports almost nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from loom_common.service.allocator import return_large_blocks
from loom_common.service.garbage import collect_seldom

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended."""
_NOTHING_BEGUN = "interrupted: nothing was begun"
_SHOW_CURSOR = b"\r\x1b[?25h\x1b[K"
"""A live display hides the cursor; this shows it again."""

_words = f"{_NOTHING_BEGUN}\n"


def begin() -> None:
    """Prepare a process that is Loom's own. Programs that import Loom are not changed.

    Pydantic's plugins from other packages are not loaded, because that would import those packages into every command.
    Arrow takes its memory from the system's allocator, unless the environment names another: its own one keeps 15 MB
    more when a file was written. Only the environment says so to all of the library, and only before it is imported.
    Until another handler is installed, SIGINT ends the process at once, with a sentence and no traceback."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    return_large_blocks()
    collect_seldom()
    signal.signal(signal.SIGINT, _interrupted)


@contextmanager
def interrupts_restored() -> Iterator[None]:
    """Restore the SIGINT handler after the block. An event loop replaces it, and afterwards leaves Python's own
    `KeyboardInterrupt`."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def on_interrupt(words: str = _NOTHING_BEGUN) -> None:
    """Set the sentence that an interrupted process prints: what was begun, and how it can be continued."""
    global _words  # noqa: PLW0603 - of the process, as its signal handler is
    _words = f"{words}\n" if words else ""


def end_interrupted() -> None:
    """End the process as Ctrl-C does, even if something in it hangs."""
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os.write(2, _words.encode())
    os._exit(INTERRUPTED)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    end_interrupted()
