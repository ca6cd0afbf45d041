"""Keeps the records that were given to pipelines over HTTP in tables of the database that all replicas share.

Requests that come while others are being stored are stored together, in one transaction. A commit waits for the disk,
which takes longer than all else that is done for a request, and on SQLite only one process writes at a time."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import sqlalchemy as sa

from loom_ai.coalescing import Coalescer
from loom_ai.journal.tables import inbox_keys, inbox_records
from loom_ai.stores.sql.dialects import dialect_of
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.bulk_insert import BulkInsert
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.inbox import InboxFull, InboxRecord

_WHAT = "The records that were given over HTTP"
_AT_ONCE = 200
"""The number of rows of one statement. SQLite limits its parameters."""
_REQUESTS_TOGETHER = 100
"""The most requests that are stored in one transaction."""
_FORGET_EVERY = dt.timedelta(minutes=1)

# One parameter holds all keys, so that the statement is the same, and quick to prepare, whatever their number.
_ENTER = """
    INSERT INTO inbox_keys (inbox, digest, record_id, expires_at)
    SELECT :inbox, {digest}, {record_id}, :until FROM {rows}
    ON CONFLICT (inbox, digest) DO UPDATE SET record_id = excluded.record_id, expires_at = excluded.expires_at
    WHERE inbox_keys.expires_at < :now RETURNING digest"""
_PAIRS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "digest": "json_extract(value, '$[0]')",
        "record_id": "json_extract(value, '$[1]')",
        "rows": "json_each(:pairs) WHERE true",
    },
    "postgresql": {
        "digest": "value ->> 0",
        "record_id": "value ->> 1",
        "rows": "json_array_elements(CAST(:pairs AS json))",
    },
}
_HELD = sa.select(inbox_keys.c.digest, inbox_keys.c.record_id).where(
    inbox_keys.c.inbox == sa.bindparam("inbox"), inbox_keys.c.digest.in_(sa.bindparam("digests", expanding=True))
)
_ENDS = tuple(
    sa.select(inbox_records.c.number)
    .where(inbox_records.c.inbox == sa.bindparam("inbox"))
    .order_by(order)
    .limit(1)
    .scalar_subquery()
    for order in (inbox_records.c.number.desc(), inbox_records.c.number)
)
_SPAN = sa.select(_ENDS[0] - _ENDS[1] + 1)
"""Finds how far the numbers of an inbox reach, by two visits to an index: it has no more records than that."""


class SqlInbox:
    """Keeps the `Inbox` of one pipeline. The migrations must have created the tables."""

    def __init__(self, engine: AsyncEngine, place: str, name: str, clock: Clock | None = None) -> None:
        """Take the `name` of the inbox among all that the tables hold."""
        self._engine = engine
        self._place = place
        self._name = name
        self._clock = clock or SystemClock()
        kinds = [sa.bindparam(each, type_=sa.String) for each in ("inbox", "pairs")]
        times = [sa.bindparam(each, type_=sa.DateTime(timezone=True)) for each in ("until", "now")]
        self._enter_keys = sa.text(_ENTER.format(**_PAIRS[engine.dialect.name])).bindparams(*kinds, *times)
        insert = dialect_of(engine).insert(inbox_records).on_conflict_do_nothing()
        self._insert = BulkInsert(insert, ("inbox", "record_id", "body", "added_at"))
        self._requests: dict[tuple[int, dt.timedelta], Coalescer[Sequence[InboxRecord], Sequence[str] | None]] = {}
        self._forgotten: dt.datetime | None = None

    async def add(self, records: Sequence[InboxRecord], *, most: int, window: dt.timedelta) -> Sequence[str]:
        alike = (most, window)
        if alike not in self._requests:
            self._requests[alike] = Coalescer(partial(self._add, most=most, window=window), _REQUESTS_TOGETHER)
        if (ids := await self._requests[alike](records)) is None:
            raise InboxFull(most)
        return ids

    async def _add(
        self, requests: Sequence[Sequence[InboxRecord]], *, most: int, window: dt.timedelta
    ) -> list[Sequence[str] | None]:
        """Add the records of several requests, each all or none, and return their ids; None for a request that does
        not fit."""
        now = self._clock.now()
        with trouble(_WHAT, self._place, "written"):
            if self._forgotten is None or now - self._forgotten >= _FORGET_EVERY:
                await self._forget_keys(now)
            together = await self._added([each for records in requests for each in records], most, now, window)
            if together is not None:
                ids = iter(together)
                return [[next(ids) for _ in records] for records in requests]
            if len(requests) == 1:
                return [None]
            return [await self._added(records, most, now, window) for records in requests]

    async def _added(
        self, records: Sequence[InboxRecord], most: int, now: dt.datetime, window: dt.timedelta
    ) -> Sequence[str] | None:
        """Add records in one transaction, and return the id of each; None where more than `most` would wait."""
        async with self._engine.begin() as connection:
            known = await self._known(connection, records, now, now + window)
            new = [each for each, (name, is_new) in zip(records, known, strict=True) if is_new and name == each.id]
            if new:
                rows = [{"inbox": self._name, "record_id": each.id, "body": each.body, "added_at": now} for each in new]
                span = await connection.scalar(_SPAN, {"inbox": self._name}) or 0
                if certain := span + len(new) <= most:
                    connection.commit_with_next()
                await connection.insert_many(self._insert, rows)
                if not certain and await self._counted(connection, most + 1) > most:
                    await connection.rollback()
                    return None
        return [name for name, _ in known]

    async def oldest(self, most: int) -> Sequence[InboxRecord]:
        columns = inbox_records.c
        statement = (
            sa.select(columns.record_id, columns.body)
            .where(columns.inbox == self._name)
            .order_by(columns.number)
            .limit(most)
        )
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return [InboxRecord(row.record_id, row.body) for row in await connection.execute(statement)]

    async def remove(self, ids: Collection[str]) -> None:
        columns, wanted = inbox_records.c, sorted(ids)
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for start in range(0, len(wanted), _AT_ONCE):
                    some = columns.record_id.in_(wanted[start : start + _AT_ONCE])
                    await connection.execute(sa.delete(inbox_records).where(columns.inbox == self._name, some))

    async def count(self) -> int:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return await self._counted(connection, None)

    async def close(self) -> None:
        for each in self._requests.values():
            await each.close()
        await self._engine.dispose()

    async def _known(
        self, connection: AsyncConnection, records: Sequence[InboxRecord], now: dt.datetime, until: dt.datetime
    ) -> list[tuple[str, bool]]:
        """Enter the keys of records, and return for each under which id it is known, and whether it is new. Keys are
        entered in one order, so that two transactions never wait for each other."""
        first: dict[str, str] = {}
        for each in records:
            if each.digest is not None:
                first.setdefault(each.digest, each.id)
        free: set[str] = set()
        holders = dict(first)
        if first:
            said = {"inbox": self._name, "pairs": json.dumps(sorted(first.items())), "until": until, "now": now}
            free = set((await connection.execute(self._enter_keys, said)).scalars())
        held = sorted(first.keys() - free)
        for start in range(0, len(held), _AT_ONCE):
            wanted = {"inbox": self._name, "digests": held[start : start + _AT_ONCE]}
            holders |= {row.digest: row.record_id for row in await connection.execute(_HELD, wanted)}
        return [
            (each.id, True) if each.digest is None else (holders[each.digest], each.digest in free) for each in records
        ]

    async def _counted(self, connection: AsyncConnection, most: int | None) -> int:
        waiting = sa.select(inbox_records.c.number).where(inbox_records.c.inbox == self._name).limit(most)
        counted = sa.select(sa.func.count()).select_from(waiting.subquery())
        return int((await connection.execute(counted)).scalar_one())

    async def _forget_keys(self, now: dt.datetime) -> None:
        """Forget the keys of records whose window is over."""
        self._forgotten = now
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(inbox_keys).where(inbox_keys.c.expires_at < now))
