"""Gives modules the logger that they write lines with.

What writes the lines is set up with the first one that the level lets through. It imports structlog, and with it what
draws tracebacks in colours, which takes a twentieth of a short run; most commands have nothing to log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

RANKS: Mapping[str, int] = MappingProxyType({"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50})
"""Gives each level its rank, which is the same as in Python's `logging`."""


@dataclass
class _SetUp:
    """Holds how the lines of this process are written."""

    begin: Callable[[], None] | None = None
    """Sets structlog up; None once it has, and in a program that leaves it as it is."""
    least: int = 0
    """The rank of the least level that is written."""


_set_up = _SetUp()
_bound: ContextVar[Mapping[str, Any]] = ContextVar("loom_log_values", default=MappingProxyType({}))


class Logger:
    """Writes what happens: an event in a few words that are always the same, and values that say more of it."""

    def debug(self, event: str, **values: Any) -> None:
        """Write what somebody may want to know who looks for a mistake in Loom."""
        write("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        """Write what happens as it should."""
        write("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Write what goes wrong, and that the process goes on in spite of it."""
        write("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        """Write what somebody has to do something about."""
        write("error", event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Write, as an error, that the exception at hand was not expected, with where it was raised."""
        write("error", event, {"exc_info": True, **values})


log = Logger()


def set_up(begin: Callable[[], None], level: str) -> None:
    """Have lines of this level and of those above it written from now on. `begin`, which is called before the first of
    them, sets structlog up. What was bound before is bound no more."""
    global _set_up  # noqa: PLW0603 - of the process, as its stderr is
    _set_up = _SetUp(begin, RANKS[level])
    _bound.set(MappingProxyType({}))


def is_set_up() -> bool:
    """Tell whether somebody has said how the lines of this process look: Loom, or a program that imports it."""
    structlog = sys.modules.get("structlog")
    return _set_up.begin is not None or (structlog is not None and structlog.is_configured())


def reset() -> None:
    """Forget how lines are written, and what is bound."""
    global _set_up  # noqa: PLW0603 - a process has one
    _set_up = _SetUp()
    _bound.set(MappingProxyType({}))


def begin() -> None:
    """Set up at once what writes the lines, because code that is not Loom's may write some by structlog."""
    if _set_up.begin is not None:
        begin, _set_up.begin = _set_up.begin, None
        begin()


def bind(**values: Any) -> None:
    """Add values to every line that is written from here on by this task, and by tasks that it begins."""
    _bound.set({**_bound.get(), **values})


def write(level: str, event: str, values: Mapping[str, Any]) -> None:
    """Write a line, with what is bound. Lines below the level that was asked for are not written."""
    if RANKS[level] >= _set_up.least:
        begin()
        import structlog

        getattr(structlog.get_logger(), level)(event, **{**_bound.get(), **values})
