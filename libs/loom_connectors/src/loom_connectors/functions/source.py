"""Reads the records that a function yields."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.domain.values.fields import Fields
from loom_common.errors import RecordError, SourceError
from loom_common.user_code.functions import load_function
from loom_connectors.ports.source import Page, ReadRecord

_END = object()


class FunctionSource:
    """Represents a function that returns an iterable of dicts, or an asynchronous one, as a `Source`.

    A cursor is the number of records before it. Reading goes on in the iterator that is open, where that stands there;
    else the function is called again, and its first records are passed over. So it has to yield the same records in the
    same order whenever it is called."""

    def __init__(self, reference: str, folder: Path, params: Mapping[str, Any]) -> None:
        self._reference = reference
        self._function = load_function(reference, folder)
        self._params = params
        self._open: _Records | None = None

    async def check(self) -> None:
        """Do nothing: the function was found, and only a run calls it."""

    async def count(self) -> int | None:
        return None

    async def fields(self) -> Fields | None:
        """Return None, because only a run calls the function."""
        return None

    async def read(self, cursor: Any, limit: int) -> Page:
        at = int(cursor or 0)
        records = self._open
        if records is None or records.passed != at:
            await self.close()
            records = self._open = _Records(await self._called())
            while records.passed < at:
                if await records.next() is _END:
                    raise SourceError(
                        f"python:{self._reference} has yielded {records.passed} records, and {at} when it was called "
                        "before. It has to yield the same ones, in the same order, whenever it is called."
                    )
        found: list[ReadRecord] = []
        while len(found) < limit:
            record = await records.next()
            if record is _END:
                return Page(found, records.passed, end=True)
            found.append(self._read(record, records.passed))
        return Page(found, records.passed, end=False)

    async def close(self) -> None:
        """Close the iterator that is open."""
        if self._open is not None:
            records, self._open = self._open, None
            await records.close()

    async def _called(self) -> Any:
        """Call the function with those parameters of the run that it names."""
        try:
            accepted = inspect.signature(self._function).parameters
        except ValueError:  # what is written in C may not tell its parameters
            accepted = MappingProxyType({})
        everything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in accepted.values())
        given = {name: value for name, value in self._params.items() if everything or name in accepted}
        returned = self._function(**given)
        return await returned if inspect.isawaitable(returned) else returned

    def _read(self, record: Any, number: int) -> ReadRecord:
        position = f"record {number}"
        if not isinstance(record, Mapping):
            words = f"python:{self._reference} {position} is of type {type(record).__name__}, not a dict."
            return ReadRecord(position, {}, RecordError(words, code="no_json"))
        try:
            return ReadRecord(position, plain(dict(record)))
        except NoPlainValue as error:
            kept: dict[str, Any] = {}
            for name, value in record.items():
                with suppress(NoPlainValue):
                    kept |= plain({name: value})
            words = f"python:{self._reference} {position}, {error}."
            return ReadRecord(position, kept, RecordError(words, code="no_json"))


class _Records:
    """Represents an iterator of either kind, and how many records it has given."""

    def __init__(self, returned: Any) -> None:
        self.passed = 0
        self._async: AsyncIterator[Any] | None = None
        self._sync: Iterator[Any] = iter(())
        if isinstance(returned, AsyncIterable):
            self._async = aiter(returned)
        elif isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping):
            self._sync = iter(returned)
        else:
            raise SourceError(
                f"The function returned {type(returned).__name__}. It has to yield dicts, or to return a list or an "
                "iterator of them, of either kind."
            )

    async def next(self) -> Any:
        """Return the next record; `_END` where there is none."""
        record = next(self._sync, _END) if self._async is None else await anext(self._async, _END)
        self.passed += record is not _END
        return record

    async def close(self) -> None:
        """Close a generator, so that what it holds open is closed."""
        if self._async is not None and hasattr(self._async, "aclose"):
            await self._async.aclose()
        elif hasattr(self._sync, "close"):
            self._sync.close()
