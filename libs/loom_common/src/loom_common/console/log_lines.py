"""Makes lines of what is logged: one JSON object per line for programs, and a line with columns for a person.

This module imports structlog, so it is imported with the first line (`loom_common.logs`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from loom_common.config.settings import LogSettings
from loom_common.domain.sealing.redaction import redacted_line
from loom_common.errors import LoomError
from loom_common.logs.logger import RANKS
from loom_common.text import named, storable


def set_up(settings: LogSettings, stderr: Callable[[], TextIO]) -> None:
    """Set structlog up for this process, to write to what `stderr` returns at each line: a notebook or a test may have
    replaced it. What code of a pipeline logs by structlog is written in the same way."""
    for_programs = settings.format == "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _shown,
            _for_logs_alone if for_programs or settings.level in ("debug", "info") else _told_elsewhere,
            *(_JSON if for_programs else _console(stderr(), with_tracebacks=settings.level in ("debug", "info"))),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(RANKS[settings.level]),
        logger_factory=lambda *_: structlog.PrintLogger(stderr()),
        cache_logger_on_first_use=False,
    )


def _shown(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Return the event with texts that any stream accepts, and with an exception that can be shown: a log line cannot
    fail."""
    error = sys.exc_info()[1] if event.get("exc_info") is True else event.get("exc_info")
    if isinstance(error, BaseException) and not _can_be_shown(error):
        event["exc_info"] = LoomError(named(error)).with_traceback(error.__traceback__)
    return {name: redacted_line(storable(value)) if isinstance(value, str) else value for name, value in event.items()}


def _for_logs_alone(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.pop("reported", None)
    return event


def _told_elsewhere(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Drop an event marked `reported=True` on a person's console, because the run's report says the same."""
    if event.pop("reported", False):
        raise structlog.DropEvent
    return event


def _can_be_shown(error: BaseException | None) -> bool:
    """Say whether the error, and those that caused it, have a text."""
    while error is not None:
        try:
            str(error)
        except BaseException:  # noqa: BLE001 - what it raises says nothing of use
            return False
        error = error.__cause__ or error.__context__
    return True


_JSON: list[Processor] = [
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
    structlog.processors.JSONRenderer(),
]


def _console(stream: TextIO, *, with_tracebacks: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    return [renderer] if with_tracebacks else [_without_traceback, renderer]


def _without_traceback(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.pop("exc_info", None)
    return event
