"""Keeps the records that were given to pipelines over HTTP in tables of the database that all replicas share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from loom_ai.journal.tables import inbox_keys, inbox_records
from loom_ai.stores.sql.dialects import dialect_of
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.inbox import InboxFull, InboxRecord

_WHAT = "The records that were given over HTTP"
_AT_ONCE = 200
"""The number of rows of one statement. SQLite limits its parameters."""
_FORGET_EVERY = dt.timedelta(minutes=1)


class SqlInbox:
    """Keeps the `Inbox` of one pipeline. The migrations must have created the tables."""

    def __init__(self, engine: AsyncEngine, place: str, name: str, clock: Clock | None = None) -> None:
        """Take the `name` of the inbox among all that the tables hold."""
        self._engine = engine
        self._place = place
        self._name = name
        self._clock = clock or SystemClock()
        self._insert = dialect_of(engine).insert
        self._forgotten: dt.datetime | None = None

    async def add(self, records: Sequence[InboxRecord], *, most: int, window: dt.timedelta) -> Sequence[str]:
        now = self._clock.now()
        with trouble(_WHAT, self._place, "written"):
            if self._forgotten is None or now - self._forgotten >= _FORGET_EVERY:
                await self._forget_keys(now)
            async with self._engine.begin() as connection:
                known = await self._known(connection, records, now, now + window)
                new = [each for each, (name, is_new) in zip(records, known, strict=True) if is_new and name == each.id]
                for start in range(0, len(new), _AT_ONCE):
                    rows = [
                        {"inbox": self._name, "record_id": each.id, "body": each.body, "added_at": now}
                        for each in new[start : start + _AT_ONCE]
                    ]
                    await connection.execute(self._insert(inbox_records).values(rows).on_conflict_do_nothing())
                if new and await self._counted(connection, most + 1) > most:
                    await connection.rollback()
                    raise InboxFull(most)
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
        await self._engine.dispose()

    async def _known(
        self, connection: AsyncConnection, records: Sequence[InboxRecord], now: dt.datetime, until: dt.datetime
    ) -> list[tuple[str, bool]]:
        """Enter the keys of records, and return for each under which id it is known, and whether it is new. Keys are
        entered in one order, so that two requests never wait for each other."""
        first: dict[str, str] = {}
        for each in records:
            if each.digest is not None:
                first.setdefault(each.digest, each.id)
        free: set[str] = set()
        holders: dict[str, str] = {}
        digests = sorted(first)
        for start in range(0, len(digests), _AT_ONCE):
            some = digests[start : start + _AT_ONCE]
            rows = [
                {"inbox": self._name, "digest": each, "record_id": first[each], "expires_at": until} for each in some
            ]
            wanted = self._insert(inbox_keys).values(rows)
            entered = wanted.on_conflict_do_update(
                index_elements=["inbox", "digest"],
                set_={"record_id": wanted.excluded.record_id, "expires_at": wanted.excluded.expires_at},
                where=inbox_keys.c.expires_at < now,
            )
            free |= set((await connection.execute(entered.returning(inbox_keys.c.digest))).scalars())
            held = sa.select(inbox_keys.c.digest, inbox_keys.c.record_id).where(
                inbox_keys.c.inbox == self._name, inbox_keys.c.digest.in_(some)
            )
            holders |= {row.digest: row.record_id for row in await connection.execute(held)}
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
