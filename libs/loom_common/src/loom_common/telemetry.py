"""Logs: one JSON object a line on stderr, with run, batch and record ids bound; no payloads, no secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from loom_common.settings import LogSettings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(settings: LogSettings, **bound: Any) -> None:
    """Set up logging for this process; `bound` stands in every line (e.g. `service="loader"`).

    Tracebacks go without local variables, which hold records; on a console they take `info` (`--verbose`)."""
    for_programs = settings.format == "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_JSON if for_programs else _console(with_tracebacks=settings.level in ("debug", "info"))),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=_on_stderr,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)
    # Libraries speak only when something is wrong.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


_JSON: list[Processor] = [
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
    structlog.processors.JSONRenderer(),
]


def _console(*, with_tracebacks: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [renderer] if with_tracebacks else [_without_traceback, renderer]


def _without_traceback(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.pop("exc_info", None)
    return event


def _on_stderr(*_: Any) -> structlog.PrintLogger:
    """Where stderr is now: a notebook or a test may have put another in its place."""
    return structlog.PrintLogger(sys.stderr)
