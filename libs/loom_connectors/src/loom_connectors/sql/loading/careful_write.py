"""Writes rows one part at a time, so that those at fault stand alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.dialect import Fault, TableDialect, TableSession, Target

Write = Callable[[TableDialect, TableSession, Target, Sequence[Row]], Awaitable[list[FailedRow]]]
"""Writes rows in the session's transaction. Returns those that the database refused."""


async def write_at_once(
    _dialect: TableDialect, session: TableSession, target: Target, rows: Sequence[Row]
) -> list[FailedRow]:
    """Write all rows by one statement. Raises the driver's error, or `UnfitValue`, where one of them is refused."""
    await session.write(target, rows)
    return []


async def write_apart(
    dialect: TableDialect, session: TableSession, target: Target, rows: Sequence[Row]
) -> list[FailedRow]:
    """Write the rows in halves, each in a savepoint, until those that are refused stand alone. The others are written.
    Raises the driver's error where it is about something else than a row."""
    try:
        async with session.savepoint():
            return await write_at_once(dialect, session, target, rows)
    except dialect.errors as error:
        if dialect.fault(error) is not Fault.ROW:
            raise
        if len(rows) == 1:
            return [dialect.failed_row(rows[0], error)]
    half = len(rows) // 2
    first = await write_apart(dialect, session, target, rows[:half])
    return first + await write_apart(dialect, session, target, rows[half:])
