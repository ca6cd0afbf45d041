"""What every process of Loom does before it imports large packages. This module imports almost nothing."""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from loom_common.foreign_code.process_guard import RefusedToForeignCode, end_process, mark_all
from loom_common.interpreter.allocator import return_large_blocks
from loom_common.interpreter.garbage import collect_seldom

INTERRUPTING = (signal.SIGINT, signal.SIGTERM)
"""The signals that ask a process to stop: Ctrl-C, and what supervisors, `kill` and `docker stop` send."""
INTERRUPTED = 130
"""The exit code of a process that Ctrl-C or SIGTERM ended."""
_NOTHING_BEGUN = "interrupted: nothing was begun"
_SHOW_CURSOR = b"\r\x1b[?25h\x1b[K"
"""A live display hides the cursor; this shows it again."""

_LEAVING_SECONDS = 10.0
"""Says how long other code may go on after the work of a process is done."""

_words = f"{_NOTHING_BEGUN}\n"
_begun = False
_code: int | None = None
"""The exit code of the process, once its work is done."""


def begin() -> None:
    """Prepare a process that is Loom's own. Programs that import Loom are not changed.

    Pydantic's plugins from other packages are not loaded, because that would import those packages into every command.
    Fewer methods of dataclasses are compiled.
    Arrow takes its memory from the system's allocator, unless the environment names another: its own one keeps 15 MB
    more when a file was written. Only the environment says so to all of the library, and only before it is imported.
    Until another handler is installed, SIGINT and SIGTERM end the process at once, with a sentence and no traceback. A
    crash in a library in C says where it was."""
    global _begun  # noqa: PLW0603 - of the process
    if not _begun:
        atexit.register(_end)  # the first that is registered is called last
        _begun = True
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    return_large_blocks()
    collect_seldom()
    for number in INTERRUPTING:
        signal.signal(number, _interrupted)
    if sys.stderr is not None and not faulthandler.is_enabled():
        faulthandler.enable(file=2, all_threads=False)
    from loom_common.interpreter.dataclass_methods import compile_less  # takes some milliseconds; signals are handled

    compile_less()


@contextmanager
def interrupts_restored() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM after the block. An event loop replaces them, and afterwards leaves
    Python's own `KeyboardInterrupt` and the system's silent end."""
    before = {number: signal.getsignal(number) for number in INTERRUPTING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def on_interrupt(words: str = _NOTHING_BEGUN) -> None:
    """Set the sentence that an interrupted process prints: what was begun, and how it can be continued."""
    global _words  # noqa: PLW0603 - of the process, as its signal handler is
    _words = f"{words}\n" if words else ""


def call_on_interrupt(handler: Callable[[], None]) -> None:
    """Let the running event loop call `handler` for SIGINT and SIGTERM. The loops of Windows take no handlers; there
    Python's own signal handlers call it, once the loop is at work."""
    import asyncio  # not every command has an event loop

    loop = asyncio.get_running_loop()
    for number in INTERRUPTING:
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(handler))
        else:
            loop.add_signal_handler(number, handler)


def end_interrupted() -> None:
    """End the process as Ctrl-C does, even if something in it hangs."""
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os.write(2, _words.encode())
    end_process(INTERRUPTED)


def see_that_it_ends(code: int) -> None:
    """End this process, whose work is done, after `_LEAVING_SECONDS` even if something in it does not end.

    Threads of the pipeline's code that are no daemons, and functions that it gave to `atexit`, would keep it for as
    long as they like, and a supervisor or a shell with it."""
    global _code  # noqa: PLW0603 - of the process
    _code = code
    mark_all()
    sys.unraisablehook = _in_one_line
    limit = threading.Timer(_LEAVING_SECONDS, _cut_off, (code,))
    limit.daemon = True
    limit.start()


def _end() -> None:
    """End the process whose work is done. All threads that are no daemons have ended, and all other functions given to
    `atexit` have been called. Python would now take apart a thousand modules, which takes a tenth of a second; the
    system frees their memory at once. Where a stream cannot be written out, Python goes on, and says so."""
    if _code is None:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    end_process(_code)


def _in_one_line(raised: sys.UnraisableHookArgs) -> None:
    """Print a sentence, and no traceback, where a function that code gave to `atexit` calls what is refused to it."""
    if not isinstance(raised.exc_value, RefusedToForeignCode):
        sys.__unraisablehook__(raised)
        return
    with suppress(OSError):
        os.write(2, f"after the end of the command: {raised.exc_value}.\n".encode(errors="replace"))


def _cut_off(code: int) -> None:
    left = [each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    what = f"threads of the pipeline's code ({', '.join(sorted(left))})" if left else "the pipeline's code (atexit)"
    words = f"{what} did not end within {_LEAVING_SECONDS:g} s of the end of the command; the process ends without it\n"
    with suppress(OSError):
        os.write(2, words.encode(errors="replace"))
    end_process(code)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    end_interrupted()
