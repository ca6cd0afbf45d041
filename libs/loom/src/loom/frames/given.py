"""Writes the records that Python code gives into a file of the project's state, from which a run reads them.

An iterator gives its records once, and a slice may be read again, also by `loom resume` in another process. So they are
all written first, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from loom.frames.arrow import is_arrow, write_arrow
from loom_common.domain.json_values.exact_json import dumps
from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.errors import ConfigurationError

Records = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]] | Any
"""A list or an iterator of dicts, an asynchronous one, or a pandas, polars or Arrow object."""

_AT_ONCE = 1_000


async def written(records: Records, folder: Path) -> Path:
    """Write the records into a new file of the folder, and return its path. Raises `ConfigurationError` for what is no
    record, or cannot be held exactly; what an iterator raises is the cause of one."""
    arrow = is_arrow(records)
    target = folder / f"{uuid4().hex}.{'arrow' if arrow else 'jsonl'}"
    with _new(target) as stream:
        if arrow:
            await asyncio.to_thread(write_arrow, records, stream)
        else:
            await _write_dicts(records, stream)
    return target


@contextmanager
def _new(target: Path) -> Iterator[BinaryIO]:
    """Give a new file, which is deleted again where an error leaves the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as stream:
            yield stream
    except BaseException:
        target.unlink(missing_ok=True)
        raise


async def _write_dicts(records: Any, stream: BinaryIO) -> None:
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
                    stream.write(_line(record, number))
            else:
                for record in records:
                    number += 1
                    stream.write(_line(record, number))
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


def _line(record: Any, number: int) -> bytes:
    if not isinstance(record, Mapping):
        raise ConfigurationError(f"Record {number} of `records` is of type {type(record).__name__}, not a dict.")
    try:
        return dumps(plain(dict(record))) + b"\n"
    except NoPlainValue as error:
        raise ConfigurationError(f"Record {number} of `records`, {error}.") from None
