"""Says to the driver of a connection what may be done together with the next statement. Drivers that cannot do each
thing when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection


def commit_with_next(connection: Connection) -> None:
    """Have the transaction committed in the same step in which the next statement is carried out, where the driver's
    connection can."""
    if (commit := getattr(_driver(connection), "commit_with_next", None)) is not None:
        commit()


def short_with_next(connection: Connection) -> None:
    """Have the next statement carried out in the event loop's thread, where the driver's connection can."""
    if (short := getattr(_driver(connection), "short_with_next", None)) is not None:
        short()


@contextmanager
def put_off(connection: Connection) -> Iterator[None]:
    """Have the statements of the block carried out with the statement after it, or with the commit, where the driver's
    connection can: that takes no way to its thread for each of them. They are part of the same transaction, and their
    results cannot be read. Whoever asks for what comes after them gets their errors."""
    driver = _driver(connection)
    if not hasattr(driver, "puts_off"):
        yield
        return
    driver.puts_off = True
    try:
        yield
    finally:
        driver.puts_off = False


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
