"""Defines connectors of the user's own: the class to derive from, and how one becomes a `Source` and a
`Destination`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import query_of, redacted
from loom_common.errors import DependencyUnavailable, DestinationError, RecordError, SourceError
from loom_connectors.ports import destination
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch
from loom_connectors.ports.source import Page, ReadRecord


@dataclass
class Record:
    """Holds one record, as a connector gives and takes it."""

    id: str
    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class ExtractResult:
    """Holds a page of records."""

    records: list[Record]
    total_count: int
    has_more: bool
    cursor: str | None = None
    """Says where the next page begins; needed where `has_more`."""


@dataclass
class LoadResult:
    """Describes what became of the records of one `load`."""

    success_count: int
    failure_count: int
    errors: list[dict[str, Any]] = field(default_factory=list)
    """Holds for each failed record `{"record_id": ..., "error": ...}`, or `{"index": ..., "error": ...}`."""


class DataConnector(ABC):
    """A system Loom does not know. Registered for a scheme, it serves locations `scheme://...`.

    `config` holds the connector's `options`, and of the location: `url`, `host`, `port`, `user`, `password` and
    `database` (its path), where they are given, with credential references resolved."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.name = config.get("name", self.__class__.__name__)

    @abstractmethod
    async def connect(self) -> None:
        """Establish the connection. Called once, before anything else."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close the connection that `connect` has established. Called once, after everything else."""

    @abstractmethod
    async def extract(self, query: str, batch_size: int = 100, cursor: str | None = None) -> ExtractResult:
        """Read a page from `cursor` (None: from the start): the same records for the same cursor, each time."""

    @abstractmethod
    async def load(self, records: list[Record], destination: str) -> LoadResult:
        """Write records. One that cannot be written is an entry of `errors`, not an exception."""

    @abstractmethod
    async def validate_connection(self) -> bool:
        """Tell whether the connection works."""


class _Connected:
    """Connects a connector when it is first used."""

    def __init__(
        self, connector: type[DataConnector], location: str, options: Mapping[str, Any], context: ConnectorContext
    ) -> None:
        self.shown = redacted(location)
        self._credentials = context.credentials
        self._connector = connector({**_parts(context.credentials.expand(location, in_url=True)), **options})
        self._connecting = asyncio.Lock()
        self._connected = False

    async def get(self) -> DataConnector:
        async with self._connecting:
            if not self._connected:
                with self.trouble():
                    await self._connector.connect()
                self._connected = True
        return self._connector

    async def check(self) -> None:
        connector = await self.get()
        with self.trouble():
            valid = await connector.validate_connection()
        if not valid:
            raise DependencyUnavailable(f"{self.shown}: {connector.name} says that its connection is not valid.")

    async def close(self) -> None:
        if self._connected:
            self._connected = False
            await self._connector.disconnect()

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """What any driver may raise where the other side is away may be tried again."""
        try:
            yield
        except (ConnectionError, TimeoutError) as error:
            words = self._credentials.without_secrets(str(error) or type(error).__name__)
            raise DependencyUnavailable(f"{self.shown}: {words}") from None


class ConnectorSource:
    """Adapts a connector to a `Source`."""

    def __init__(self, connector: type[DataConnector], config: ExtractConfig, context: ConnectorContext) -> None:
        self._connected = _Connected(connector, config.source, config.options, context)
        self._query = config.query or config.source

    async def check(self) -> None:
        await self._connected.check()

    async def count(self) -> int | None:
        return None

    async def fields(self) -> Fields | None:
        """Return None, because what a connector of the user's own reads is known to a run alone."""
        return None

    async def read(self, cursor: Any, limit: int) -> Page:
        """A connector may give more than it was asked for: what is over stays for the next page, read again."""
        at, skipped = (cursor["at"], cursor["skip"]) if cursor else (None, 0)
        connector = await self._connected.get()
        onward = {} if at is None else {"cursor": at}  # a connector of one page may do without
        with self._connected.trouble():
            result = await connector.extract(self._query, batch_size=limit + skipped, **onward)
        given = result.records[skipped : skipped + limit]
        records = [_read(record, self._connected.shown) for record in given]
        if skipped + limit < len(result.records):
            return Page(records, {"at": at, "skip": skipped + limit}, end=False)
        if result.has_more and result.cursor is None:
            raise SourceError(
                f"{self._connected.shown}: {connector.name}.extract says that there is more, and gives no cursor."
            )
        return Page(records, {"at": result.cursor, "skip": 0}, end=not result.has_more)

    async def close(self) -> None:
        await self._connected.close()


def _read(record: Record, place: str) -> ReadRecord:
    """Read the record; where a value has no JSON form, keep what can be kept of it and name the field and type of the
    value."""
    position = f"id={record.id}"
    try:
        data = plain(record.data)
        if isinstance(data, dict):
            return ReadRecord(position, data)
        why = f"its data is of type {type(record.data).__name__}, not a dict"
    except NoPlainValue as error:
        why = str(error)
    kept: dict[str, Any] = {}
    for name, value in record.data.items() if isinstance(record.data, Mapping) else ():
        with suppress(NoPlainValue):
            kept |= plain({name: value})
    return ReadRecord(position, kept, RecordError(f"{place} {position}: {why}.", code="no_json"))


class ConnectorDestination:
    """Adapts a connector to a `Destination`."""

    def __init__(self, connector: type[DataConnector], config: LoadConfig, context: ConnectorContext) -> None:
        self._connected = _Connected(connector, config.destination, config.options, context)
        self._destination = query_of(config.destination).get("table", config.destination)

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.AT_LEAST_ONCE

    @property
    def effect(self) -> str:
        return "what a later run makes of these rows, the connector decides"

    @property
    def stages(self) -> bool:
        return False

    @property
    def location(self) -> str:
        return self._connected.shown

    async def check(self) -> None:
        await self._connected.check()

    async def load(self, batch: LoadBatch) -> destination.LoadResult:
        connector = await self._connected.get()
        metadata = {"run_id": batch.run_id, "batch_id": batch.batch_id}
        records = [Record(row.record_id, dict(row.values), dict(metadata)) for row in batch.rows]
        with self._connected.trouble():
            result = await connector.load(records, self._destination)
        failed = [_failed(error, batch) for error in result.errors]
        named = {row.record_id for row in failed if row is not None}
        if len(named) != result.failure_count or result.success_count + result.failure_count != len(records):
            raise DestinationError(
                f"{self.location}: {connector.name}.load was given {counted(len(records), 'record')} and reports "
                f"{result.success_count} written and {result.failure_count} failed, of which it names {len(named)}. "
                'Every failed record needs an entry {"record_id": ..., "error": ...} in `errors`.'
            )
        return destination.LoadResult(result.success_count, tuple(row for row in failed if row is not None))

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """A connector shows what it was given at once: there is nothing left to do."""
        return True

    async def drop(self, run_id: str) -> bool:
        """Return False, because a connector stages nothing."""
        return True

    async def close(self) -> None:
        await self._connected.close()


def _failed(error: Mapping[str, Any], batch: LoadBatch) -> FailedRow | None:
    """Return the row that an entry of `errors` speaks of; None where it speaks of none of the batch."""
    record_id, index = error.get("record_id"), error.get("index")
    if record_id is None and isinstance(index, int) and 0 <= index < len(batch.rows):
        record_id = batch.rows[index].record_id
    if record_id not in {row.record_id for row in batch.rows}:
        return None
    return FailedRow(str(record_id), str(error.get("code", "refused")), str(error.get("error", "refused")))


def _parts(url: str) -> dict[str, Any]:
    # What stands before `://` may be `module:name`, which is no scheme of a URL.
    split = urlsplit(f"//{url.partition('://')[2]}" if "://" in url else url)
    parts = {
        "url": url,
        "host": split.hostname,
        "port": split.port,
        "user": unquote(split.username) if split.username else None,
        "password": unquote(split.password) if split.password else None,
        "database": split.path.strip("/") or None,
        **query_of(url),
    }
    return {name: value for name, value in parts.items() if value is not None}
