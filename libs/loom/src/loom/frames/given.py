"""Reads the records that Python code gives, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from loom.frames.arrow import arrow_records, is_arrow
from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.errors import ConfigurationError
from loom_connectors.ports.source import ReadRecord

Records = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]] | Any
"""A list or an iterator of dicts, an asynchronous one, or a pandas, polars or Arrow object."""

_AT_ONCE = 1_000


def records_of(records: Records) -> AsyncGenerator[ReadRecord, None]:
    """Yield the records. Raises `ConfigurationError` for what is no record, or cannot be held exactly; what an iterator
    raises is the cause of one."""
    return _rows(records) if is_arrow(records) else _dicts(records)


async def _rows(records: Any) -> AsyncGenerator[ReadRecord, None]:
    batches = arrow_records(records)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        for record in batch:
            yield record


async def _dicts(records: Any) -> AsyncGenerator[ReadRecord, None]:
    if isinstance(records, str | bytes | Mapping) or not isinstance(records, Iterable | AsyncIterable):
        raise ConfigurationError(
            f"`records` is of type {type(records).__name__}. Give a list or an iterator of dicts, an asynchronous "
            "iterator, a pandas or polars frame, or an Arrow table."
        )
    number = 0
    try:
        async with _closed(records):
            if isinstance(records, AsyncIterable):
                async for record in records:
                    number += 1
                    yield _record(record, number)
            else:
                for record in records:
                    number += 1
                    yield _record(record, number)
                    if number % _AT_ONCE == 0:
                        await asyncio.sleep(0)  # others go on meanwhile
    except ConfigurationError:
        raise
    except Exception as error:
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ConfigurationError(
            f"`records` raised {words} after {number} records. No run was started, and nothing is loaded."
        ) from error


@asynccontextmanager
async def _closed(records: Any) -> AsyncIterator[None]:
    """Close the records at the end of the block. Of an error in the block and one of closing, the first is raised."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            await _close(records)
        raise
    await _close(records)


async def _close(records: Any) -> None:
    """Close a generator, so that what it holds open is closed also where it is not read to its end."""
    if hasattr(records, "aclose"):
        await records.aclose()
    elif hasattr(records, "close"):
        records.close()


def _record(record: Any, number: int) -> ReadRecord:
    if not isinstance(record, Mapping):
        raise ConfigurationError(f"Record {number} of `records` is of type {type(record).__name__}, not a dict.")
    try:
        return ReadRecord(f"record {number}", plain(dict(record)))
    except NoPlainValue as error:
        raise ConfigurationError(f"Record {number} of `records`, {error}.") from None
