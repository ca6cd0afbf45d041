"""Passes on the records of a request that no earlier request has given within the window of their pipeline."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import uuid4

from loom_api.results.given_records import Duplicate
from loom_common.async_engine import AsyncEngine
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.durations import seconds
from loom_common.errors import LoomError, RecordError
from loom_connectors.ports.source import ReadRecord
from loom_coordinator.db import ingest_keys
from loom_coordinator.db.ingest_keys import Claims

_TOGETHER = 500
"""Says how many keys are claimed in one transaction."""
SHOWN = 100
"""The most records that an answer names as known."""


class KeysTaken(LoomError):
    """Reports that another request is under way with the key of a record."""


@dataclass(slots=True)
class Duplicates:
    """Counts the records of a request that are known, and names the first."""

    count: int = 0
    first: list[Duplicate] = field(default_factory=list)

    def add(self, key: str, run_id: str | None) -> None:
        """Add a record that a run has; None for the run that the request itself begins."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(Duplicate(key=key, run_id=run_id))

    def of_run(self, run_id: str) -> list[Duplicate]:
        """Return the first, where the request has begun a run."""
        return [each if each.run_id else each.model_copy(update={"run_id": run_id}) for each in self.first]


class KnownRecords:
    """Claims the keys of records, for one try of one request. Release the claims unless a run has taken them over."""

    def __init__(self, engine: AsyncEngine, pipeline: Pipeline) -> None:
        self._engine = engine
        self._keys = pipeline.ingest_keys
        window = dt.timedelta(seconds=seconds(pipeline.ingest.window)) if pipeline.ingest else dt.timedelta()
        self._claims = Claims(f"claims_{uuid4().hex}", pipeline.name, window)
        self._entered = False
        self.duplicates = Duplicates()

    @property
    def claims(self) -> str | None:
        """Return the name of the claims; None where nothing was claimed."""
        return self._claims.name if self._entered else None

    async def new(self, records: AsyncGenerator[ReadRecord, None]) -> AsyncGenerator[ReadRecord, None]:
        """Yield the records that no run has, and those that have no key. Raises `KeysTaken`, and what the records
        raise."""
        async with aclosing(records):
            if not self._keys:
                async for record in records:
                    yield record
                return
            together: list[ReadRecord] = []
            async for record in records:
                together.append(record)
                if len(together) == _TOGETHER:
                    for each in await self._free(together):
                        yield each
                    together = []
            for each in await self._free(together):
                yield each

    async def release(self) -> None:
        """Let go of what no run has taken over."""
        if self._entered:
            async with self._engine.begin() as connection:
                await ingest_keys.release(connection, self._claims.name)

    async def _free(self, records: Sequence[ReadRecord]) -> list[ReadRecord]:
        """Claim the keys of records, and return those that are free, or have none."""
        keys = [self._key(record) for record in records]
        digests = {key: hashlib.blake2b(key.encode(), digest_size=16).hexdigest() for key in keys if key is not None}
        if not digests:
            return list(records)
        async with self._engine.begin() as connection:
            now = dt.datetime.now(dt.UTC)
            held = await ingest_keys.claim(
                connection, self._claims, list(digests.values()), now, first=not self._entered
            )
        self._entered = True
        free, seen = [], set()
        for key, record in zip(keys, records, strict=True):
            if key is None:
                free.append(record)
            elif (holder := held.get(digests[key])) is not None:
                if holder.run_id is None and not holder.own:
                    raise KeysTaken(
                        f"Another request with a record of the key {key} is being carried out. Ask again for its run."
                    )
                self.duplicates.add(key, holder.run_id)
            elif key in seen:
                self.duplicates.add(key, None)
            else:
                seen.add(key)
                free.append(record)
        return free

    def _key(self, record: ReadRecord) -> str | None:
        try:
            return key_of(record.data, self._keys)
        except RecordError:
            return None
