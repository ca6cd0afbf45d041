"""Keeps the records that requests give to a stream, until the stream takes them."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid4, uuid5

from loom.engine import prepare
from loom.project.config import LoomConfig
from loom_ai.stores.beside_budgets import open_inbox
from loom_api.results.given_records import KnownRecord
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.durations import seconds
from loom_common.errors import ConfigurationError, RecordError
from loom_common.ports.inbox import Inbox, InboxRecord
from loom_common.sealing.keyring import Keyring
from loom_connectors.inbox import bodies
from loom_connectors.inbox.options import InboxOptions
from loom_connectors.ports.source import ReadRecord

_TOLD = 20
"""The most records that an error names."""


class TooManyRecords(ConfigurationError):
    """Reports a request that has more records than may wait at all."""


class UnfitRecords(ConfigurationError):
    """Reports a request with records that are none. `reasons` says why of the first of them."""

    def __init__(self, count: int, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        which = "1 record of the request is none" if count == 1 else f"{count:,} records of the request are none"
        super().__init__(f"{which}, and none of the request is taken. {reasons[0]}")


@dataclass(frozen=True, slots=True)
class Kept:
    """Says what became of the records of a request."""

    ids: Sequence[str]
    """Holds the id of each, in their order: that of an earlier record where it is known."""
    duplicates: Sequence[KnownRecord]


class Inboxes:
    """Opens the inbox of each stream when a request first gives it records."""

    def __init__(self, config: LoomConfig) -> None:
        self._config = config
        self._lock = asyncio.Lock()
        self._open: dict[tuple[str, str, bool], Inbox] = {}

    async def keep(self, pipeline: Pipeline, records: AsyncGenerator[ReadRecord, None], key: str | None) -> Kept:
        """Keep records for the stream of a pipeline, all or none. `key` is the same for a request that comes again:
        so are the ids of its records then. Raises `UnfitRecords`, `TooManyRecords`, `InboxFull`, and what the store and
        the records raise."""
        most = InboxOptions.model_validate(dict(pipeline.extract.options)).backlog
        given = await _all_of(records, most)
        window = dt.timedelta(seconds=seconds(pipeline.ingest.window)) if pipeline.ingest else dt.timedelta()
        keys = [_key(each, pipeline.ingest_keys) for each in given]
        ids = [_id(pipeline.name, key, at) for at in range(len(given))]
        entries = [
            InboxRecord(name, bodies.written(name, record.data), None if said is None else _digest(said))
            for name, record, said in zip(ids, given, keys, strict=True)
        ]
        known = await (await self._of(pipeline)).add(entries, most=most, window=window)
        duplicates = [
            KnownRecord(position=at, key=said, id=holder)
            for at, (name, holder, said) in enumerate(zip(ids, known, keys, strict=True))
            if holder != name
        ]
        return Kept(known, duplicates)

    async def close(self) -> None:
        """Close what was opened."""
        for inbox in self._open.values():
            await inbox.close()
        self._open.clear()

    async def _of(self, pipeline: Pipeline) -> Inbox:
        name = (pipeline.name, pipeline.extract.source, bool(pipeline.sensitive))
        async with self._lock:
            if name not in self._open:
                settings = self._config.settings()
                if settings.embedded:
                    await prepare(settings)  # the store may be a database that is still empty
                keyring = Keyring(settings.encryption.keys, self._config.secrets) if pipeline.sensitive else None
                self._open[name] = open_inbox(settings, pipeline.name, pipeline.extract.source, keyring)
            return self._open[name]


async def _all_of(records: AsyncGenerator[ReadRecord, None], most: int) -> list[ReadRecord]:
    """Return the records of a request. Raises `UnfitRecords` and `TooManyRecords`."""
    found: list[ReadRecord] = []
    unfit: list[str] = []
    count = 0
    async for record in records:
        if record.error is not None:
            count += 1
            if len(unfit) < _TOLD:
                unfit.append(str(record.error))
        elif len(found) == most:
            raise TooManyRecords(f"A request may give this stream {most:,} records at most: give them in several.")
        else:
            found.append(record)
    if unfit:
        raise UnfitRecords(count, unfit)
    return found


def _id(pipeline: str, key: str | None, at: int) -> str:
    return str(uuid4() if key is None else uuid5(NAMESPACE_URL, f"loom/{pipeline}/{key}/{at}"))


def _key(record: ReadRecord, keys: Sequence[str]) -> str | None:
    try:
        return key_of(record.data, keys) if keys else None
    except RecordError:
        return None


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
