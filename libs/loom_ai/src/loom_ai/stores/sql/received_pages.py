"""Keeps the messages that runs have taken from queues in tables of the database that all replicas share."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from loom_ai.journal.tables import received_messages, received_pages
from loom_ai.stores.sql.dialects import dialect_of
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage

_WHAT = "The messages taken from queues"
_LENGTH_BYTES = 4
_MARK = 2**31 - 1
"""Stands for the number of a page of a run that is over: whatever else its pages were, they came before it."""
_MARKED_FOR = dt.timedelta(days=7)
"""Says how long a mark stays. A message that asks for a page of the run may wait so long for somebody who reads it."""
_PAGE = (
    sa.select(*[received_pages.c[name] for name in ("number", "bodies", "state", "ends", "known")])
    .where(received_pages.c.run_id == sa.bindparam("of_run"), received_pages.c.number >= sa.bindparam("at"))
    .order_by(received_pages.c.number)
    .limit(1)
)
_FORGOTTEN = ReceivedPage((), None, end=False, forgotten=True)


class SqlReceivedPages:
    """Keeps `ReceivedPages` with an engine of its own. The migrations must have created the tables."""

    def __init__(self, engine: AsyncEngine, place: str, clock: Clock | None = None) -> None:
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        insert = dialect_of(engine).insert
        self._enter_page = _entering(insert)
        self._enter_identities = _remembering(insert, engine.dialect.name, renewing=False)
        self._renew_identities = _remembering(insert, engine.dialect.name, renewing=True)

    async def page(self, run_id: str, number: int) -> ReceivedPage | None:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(_PAGE, {"of_run": run_id, "at": number})).one_or_none()
        if row is None or row.number > number:
            return None if row is None else _FORGOTTEN
        return ReceivedPage(tuple(_split(row.bodies)), orjson.loads(row.state), bool(row.ends), row.known)

    async def keep(
        self,
        run_id: str,
        number: int,
        source: str | None,
        messages: Sequence[ReceivedMessage],
        state: Any,
        *,
        end: bool,
        again: int = 0,
    ) -> ReceivedPage | None:
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                now = self._clock.now()
                new = messages if source is None else await self._new(connection, source, messages, now, again)
                bodies = [each.body for each in new]
                known = len(messages) - len(new)
                page = _page(run_id, number, bodies, state, now, end=end, known=known)
                if not (await connection.execute(self._enter_page, page)).rowcount:
                    await connection.rollback()
                    return None
        return ReceivedPage(tuple(bodies), state, end, known)

    async def forget_identities(self, source: str, before: dt.datetime) -> None:
        columns = received_messages.c
        statement = sa.delete(received_messages).where(columns.source == _digest(source), columns.created_at < before)
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await connection.execute(statement)

    async def runs(self) -> Sequence[str]:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                held = sa.select(received_pages.c.run_id).where(received_pages.c.number < _MARK).distinct()
                return list((await connection.execute(held)).scalars())

    async def forget(self, run_ids: Collection[str]) -> None:
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                columns, now = received_pages.c, self._clock.now()
                old = sa.and_(columns.number == _MARK, columns.created_at < now - _MARKED_FOR)
                await connection.execute(sa.delete(received_pages).where(old))
                for run_id in run_ids:
                    await connection.execute(sa.delete(received_pages).where(columns.run_id == run_id))
                    await connection.execute(self._enter_page, _page(run_id, _MARK, (), None, now, end=True))

    async def forget_before(self, run_id: str, number: int) -> None:
        columns = received_pages.c
        newest = sa.select(sa.func.max(columns.number)).where(columns.run_id == run_id).scalar_subquery()
        old = sa.delete(received_pages).where(
            columns.run_id == run_id, columns.number < number, columns.number < newest
        )
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await connection.execute(old)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _new(
        self,
        connection: AsyncConnection,
        source: str,
        messages: Sequence[ReceivedMessage],
        now: dt.datetime,
        again: int,
    ) -> Sequence[ReceivedMessage]:
        """Enter the identities of messages, and return those messages that no page has yet. Two transactions that enter
        the same identity follow one another."""
        digests = [None if each.identity is None else _digest(each.identity) for each in messages]
        wanted = sorted({each for each in digests if each is not None})
        known: set[str] = set()
        if wanted:
            given = {"taken_from": _digest(source), "identities": wanted, "now": now, "nth": again}
            entered = await connection.execute(self._renew_identities if again else self._enter_identities, given)
            known = set(wanted) - set(entered.scalars())
        new = []
        for digest, message in zip(digests, messages, strict=True):
            if digest is None or digest not in known:
                new.append(message)
            if digest is not None:
                known.add(digest)  # a second one of the same page
        return new


def _page(
    run_id: str, number: int, bodies: Sequence[bytes], state: Any, now: dt.datetime, *, end: bool, known: int = 0
) -> dict[str, Any]:
    """Return what the statement that enters a page is given."""
    return {
        "of_run": run_id,
        "at": number,
        "joined": b"".join(_joined(bodies)),
        "said": orjson.dumps(state).decode(),
        "last": end,
        "now": now,
        "left_out": known,
    }


def _entering(insert: Any) -> Any:
    """Return the statement that enters a page which follows all pages of its run. What comes for the place of a page
    that is there, or was forgotten, comes from somebody who was thought dead, and enters nothing."""
    columns = received_pages.c
    values = {
        columns.run_id: "of_run",
        columns.number: "at",
        columns.bodies: "joined",
        columns.state: "said",
        columns.ends: "last",
        columns.created_at: "now",
        columns.known: "left_out",
    }
    bound = [sa.bindparam(name, type_=column.type) for column, name in values.items()]
    later = sa.exists().where(
        columns.run_id == sa.bindparam("of_run", type_=columns.run_id.type),
        columns.number >= sa.bindparam("at", type_=columns.number.type),
    )
    return insert(received_pages).from_select(list(values), sa.select(*bound).where(~later)).on_conflict_do_nothing()


def _remembering(insert: Any, dialect: str, *, renewing: bool) -> Any:
    """Return the statement that enters identities, and returns those that were not there; where it is `renewing`, those
    too that were there with a lower number, which are to be taken again. They are bound as one value:
    so the statement is the same whatever their number, and is compiled once."""
    columns = received_messages.c
    if dialect == "sqlite":
        given = sa.func.json_each(sa.bindparam("identities", type_=sa.JSON)).table_valued("value").c.value
    else:
        from sqlalchemy.dialects.postgresql import ARRAY

        given = sa.func.unnest(sa.bindparam("identities", type_=ARRAY(columns.identity.type))).column_valued("identity")
    rows = sa.select(
        sa.bindparam("taken_from", type_=columns.source.type),
        given,
        sa.bindparam("now", type_=columns.created_at.type),
        sa.bindparam("nth", type_=columns.again.type),
    ).where(sa.true())  # without a condition, SQLite takes ON CONFLICT for one of a join
    names = [columns.source, columns.identity, columns.created_at, columns.again]
    entering = insert(received_messages).from_select(names, rows)
    if not renewing:
        return entering.on_conflict_do_nothing().returning(columns.identity)
    renewed = {"again": entering.excluded.again, "created_at": entering.excluded.created_at}
    lower = columns.again < entering.excluded.again
    key = [columns.source, columns.identity]
    return entering.on_conflict_do_update(index_elements=key, set_=renewed, where=lower).returning(columns.identity)


def _joined(bodies: Iterable[bytes]) -> Iterator[bytes]:
    for body in bodies:
        yield len(body).to_bytes(_LENGTH_BYTES, "big")
        yield body


def _split(joined: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(joined):
        length = int.from_bytes(joined[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        yield bytes(joined[at : at + length])
        at += length


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
