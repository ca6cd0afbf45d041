"""Refuses calls by which code that is not Loom's would end, or change for everybody, the process it shares with Loom.

User code and plugins run in threads of Loom's process. A library that calls `os._exit`, or a function that closes
descriptor 2, would take every other record with it, and without a word. Such calls raise `RefusedToForeignCode`, which
is the error of their record, in threads that were marked as foreign and in those that these start. They work as ever
in the rest of the process, and in its copies and children.

What no Python function guards, such as a crash in a library in C, still ends the process; `poison_isolation` then finds
the record."""

from __future__ import annotations

import _thread
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

end_process = os._exit
"""Ends the process, whoever calls it."""

_DEEPEST_RECURSION = 10_000
"""The most that the recursion limit may be raised to: a thread's stack of 8 MB bears about as much."""
_STANDARD_STREAMS = range(3)

_here = threading.local()
_lock = threading.Lock()
_process = 0
"""The process that is guarded; 0 before the first foreign code."""
_all_is_foreign = False


class RefusedToForeignCode(RuntimeError, ValueError):
    """Reports a call that foreign code may not make in a process of Loom. It is a `ValueError`, too, because libraries
    are prepared for one: Python raises it where a handler of signals is set in a thread."""


def is_foreign() -> bool:
    """Tell whether what runs here is foreign code in a process of Loom."""
    return os.getpid() == _process and (_all_is_foreign or getattr(_here, "foreign", False))


@contextmanager
def foreign() -> Iterator[None]:
    """Mark what this thread does in the block as foreign, and the threads that it starts there."""
    _guard_this_process()
    before = getattr(_here, "foreign", False)
    _here.foreign = True
    try:
        yield
    finally:
        _here.foreign = before


def mark_all() -> None:
    """Mark all threads as foreign from now on: Loom is done, and what runs still was left behind by other code."""
    global _all_is_foreign  # noqa: PLW0603 - of the process, as its threads are
    _all_is_foreign = _process != 0


def _guard_this_process() -> None:
    global _process  # noqa: PLW0603 - of the process
    if _process == os.getpid():
        return
    with _lock:
        if not _process:
            _guard_calls()
        _process = os.getpid()


def _stay_guarded() -> None:
    """Guard a copy of the process that Loom itself made. One that foreign code made is its own."""
    global _process  # noqa: PLW0603 - of the process
    if _process and not getattr(_here, "foreign", False):
        _process = os.getpid()


def _guard_calls() -> None:
    for module, guards in _guards().items():
        for name, judge in guards.items():
            if (call := getattr(module, name, None)) is not None:
                setattr(module, name, _guarded(f"{module.__name__.lstrip('_')}.{name}", call, judge))
    started = _started_as_here(_thread.start_new_thread)
    _thread.start_new_thread = started
    vars(threading)["_start_new_thread"] = started
    threading.excepthook = _telling_plainly(threading.excepthook)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_stay_guarded)


Judge = Callable[..., str | None]
"""Says of a call's arguments why it is refused; None where it may be made."""


def _guards() -> Mapping[ModuleType, Mapping[str, Judge]]:
    ends = _always("it would end the process, with the work on all other records. Raise an error instead")
    signals = _always("signals are for the whole process. Call the function that would handle it")
    moves = _always("the working directory is of the whole process. Use absolute paths, such as those below __file__")
    guards: dict[ModuleType, Mapping[str, Judge]] = {
        os: {
            **dict.fromkeys(("_exit", "abort", "execv", "execve"), ends),
            **dict.fromkeys(("chdir", "fchdir"), moves),
            "kill": _why_not_kill,
            "killpg": _why_not_kill_group,
            "close": _why_not_close,
            "closerange": _always("descriptors of the process would be closed that are not yours. Close your own"),
        },
        signal: dict.fromkeys(("signal", "alarm", "setitimer", "raise_signal", "pthread_kill"), signals),
        _thread: {"interrupt_main": signals},
        sys: {"setrecursionlimit": _why_not_recurse},
    }
    try:
        import resource
    except ImportError:  # there is none on Windows
        return guards
    return {**guards, resource: {"setrlimit": _always("its limits are those of the whole process")}}


def _guarded(name: str, call: Callable[..., Any], judge: Judge) -> Callable[..., Any]:
    @functools.wraps(call)
    def guarded(*arguments: Any, **named: Any) -> Any:
        if is_foreign() and (why := judge(*arguments, **named)) is not None:
            raise RefusedToForeignCode(f"{name}() is refused to code that runs in a process of Loom: {why}")
        return call(*arguments, **named)

    return guarded


def _started_as_here(start: Callable[..., int]) -> Callable[..., int]:
    """Let threads that foreign code starts be foreign, too."""

    def start_new_thread(function: Callable[..., Any], arguments: tuple[Any, ...], *named: Any) -> int:
        if not is_foreign() or not callable(function):
            return start(function, arguments, *named)

        def begun(*given: Any, **more: Any) -> Any:
            _here.foreign = True
            return function(*given, **more)

        return start(begun, arguments, *named)

    return start_new_thread


def _telling_plainly(tell: Callable[[Any], object]) -> Callable[[Any], object]:
    """Say in one line what a thread of foreign code was refused, instead of by a traceback through Loom."""

    def told(what: Any) -> object:
        if not isinstance(what.exc_value, RefusedToForeignCode) or sys.stderr is None:
            return tell(what)
        return sys.stderr.write(f"A thread of the pipeline's code has ended: {what.exc_value}.\n")

    return told


def own_frame(file: str) -> bool:
    """Tell whether a frame of a traceback is one that these guards add."""
    return file.startswith(os.path.dirname(__file__))  # noqa: PTH120 - as tracebacks write it


def _always(why: str) -> Judge:
    return lambda *_arguments, **_named: why


def _why_not_kill(pid: Any = None, number: Any = None) -> str | None:
    mine = pid in (os.getpid(), 0, -1, -os.getpgrp())
    return "the signal would go to Loom's own process. Raise an error instead" if mine and number != 0 else None


def _why_not_kill_group(group: Any = None, number: Any = None) -> str | None:
    return _why_not_kill(-group if isinstance(group, int) and group else group, number)


def _why_not_close(fd: Any = None) -> str | None:
    return "descriptors 0 to 2 are those of the whole process" if fd in _STANDARD_STREAMS else None


def _why_not_recurse(limit: Any = None) -> str | None:
    if not isinstance(limit, int) or sys.getrecursionlimit() <= limit <= _DEEPEST_RECURSION:
        return None
    return (
        f"the limit is of the whole process. It may be raised to {_DEEPEST_RECURSION:,}, and not be lowered below the "
        f"{sys.getrecursionlimit():,} that it is"
    )
