"""Logs: one JSON object per line on stderr, with run, batch and record ids, and without payloads and secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from loom_common.config.settings import LogSettings
from loom_common.domain.sealing.redaction import redacted_line
from loom_common.errors import LoomError
from loom_common.service.standard_streams import stderr
from loom_common.text import named, storable

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(settings: LogSettings, **bound: Any) -> None:
    """Set up logging for this process; `bound` is added to every line (e.g. `service="loader"`).

    Tracebacks contain no local variables, which hold records. On a console they are shown at level `info`
    (`--verbose`)."""
    for_programs = settings.format == "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _shown,
            _for_logs_alone if for_programs or settings.level in ("debug", "info") else _told_elsewhere,
            *(_JSON if for_programs else _console(with_tracebacks=settings.level in ("debug", "info"))),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=_on_stderr,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)
    # A program that uses Loom as a library may have set up handlers of its own, which are left as they are.
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_LibraryRecords())
        root.setLevel(logging.ERROR)


class _LibraryRecords(logging.Handler):
    """Passes what libraries log on to the handler of Loom's own lines, so that every line of a process has one
    format."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            error = record.exc_info[1] if record.exc_info else None
            structlog.get_logger().log(
                record.levelno,
                storable(record.getMessage()),
                logger=record.name,
                **({"exc_info": error} if error else {}),
            )
        except Exception:  # noqa: BLE001 - as in every handler of `logging`: a record that cannot be shown ends nothing
            self.handleError(record)


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


def _console(*, with_tracebacks: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=stderr().isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [renderer] if with_tracebacks else [_without_traceback, renderer]


def _without_traceback(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.pop("exc_info", None)
    return event


def _on_stderr(*_: Any) -> structlog.PrintLogger:
    """Return a logger to the current stderr, which a notebook or a test may have replaced."""
    return structlog.PrintLogger(stderr())
