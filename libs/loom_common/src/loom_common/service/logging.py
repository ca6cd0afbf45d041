"""Sets up the log of a process: lines on stderr, with run, batch and record ids, and without payloads and secrets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from loom_common.logs import logger
from loom_common.service.standard_streams import stderr
from loom_common.text import storable

if TYPE_CHECKING:
    from loom_common.config.settings import LogSettings


def configure_logging(settings: LogSettings, **bound: Any) -> None:
    """Set up logging for this process; `bound` is added to every line (e.g. `service="loader"`).

    Tracebacks contain no local variables, which hold records. On a console they are shown at level `info`
    (`--verbose`)."""
    logger.set_up(partial(_set_structlog_up, settings), settings.level)
    logger.bind(**bound)
    # A program that uses Loom as a library may have set up handlers of its own, which are left as they are.
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_LibraryRecords())
        root.setLevel(logging.ERROR)


def _set_structlog_up(settings: LogSettings) -> None:
    from loom_common.console import log_lines

    log_lines.set_up(settings, stderr)


class _LibraryRecords(logging.Handler):
    """Passes what libraries log on to the handler of Loom's own lines, so that every line of a process has one
    format."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            error = record.exc_info[1] if record.exc_info else None
            values: Mapping[str, Any] = {"logger": record.name, **({"exc_info": error} if error else {})}
            logger.write(_level_of(record), storable(record.getMessage()), values)
        except Exception:  # noqa: BLE001 - as in every handler of `logging`: a record that cannot be shown ends nothing
            self.handleError(record)


def _level_of(record: logging.LogRecord) -> str:
    """Return the highest of Loom's levels that the record reaches."""
    return max(
        (level for level, rank in logger.RANKS.items() if rank <= record.levelno),
        key=logger.RANKS.__getitem__,
        default="debug",
    )
