"""What nobody foresaw is narrowed to the record it came from, before it can end a batch or a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from loom_common.errors import LoomError, RecordError
from loom_common.logs.logger import log
from loom_common.text import named

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 - an outcome


async def narrowed(
    records: Sequence[R],
    work: Callable[[Sequence[R]], Awaitable[list[O]]],
    kept_away: Callable[[R, RecordError], O],
) -> list[O]:
    """Return `work`'s outcome of every record, in order. Where it raises what is no verdict of Loom's, the records are
    taken one by one, and those it still raises for are what `kept_away` makes of them. Raises `LoomError`."""
    try:
        return await work(records)
    except LoomError:
        raise
    except Exception as error:
        if len(records) == 1:
            log.warning("a record is kept back for an error that nobody foresaw", error=named(error), exc_info=True)
            return [kept_away(records[0], RecordError(named(error), code="internal_error"))]
    return [outcome for record in records for outcome in await narrowed([record], work, kept_away)]
