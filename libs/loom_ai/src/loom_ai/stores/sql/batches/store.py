"""Keeps the requests that wait for batches, and the batches, in tables of the database that all replicas share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import sqlalchemy as sa

from loom_ai.batches.requests.store import Gathered
from loom_ai.batches.requests.values import Batch, BatchState, Request, RequestState, RunHeard, Standing
from loom_ai.journal.tables import batch_owners, batch_requests, batch_runs, provider_batches
from loom_ai.stores.sql.batches.rows import batch_in, batch_row, moment, request_in, request_row
from loom_ai.stores.sql.dialects import dialect_of
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.ports.clock import Clock, SystemClock

_WHAT = "The requests that wait for batches"
_AT_ONCE = 500
"""The most keys in one statement. SQLite limits its parameters."""
_R, _B = batch_requests.c, provider_batches.c
_MAY_GO = (_R.state == RequestState.GATHERED) & sa.func.coalesce(
    sa.select((batch_runs.c.epoch <= _R.epoch) & batch_runs.c.cancelled.is_(False))
    .where(batch_runs.c.run_id == _R.run_id)
    .scalar_subquery(),
    sa.true(),
)
"""Says what may be submitted: not the requests of a run that was paused or cancelled since their records came last."""
_KEPT = dt.timedelta(days=30)


class SqlBatches:
    """Implements a `BatchStore` with an engine of its own. The migrations must have created the tables."""

    def __init__(self, engine: AsyncEngine, place: str, clock: Clock | None = None) -> None:
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        self._dialect: ModuleType = dialect_of(engine)

    async def find(self, keys: Sequence[str]) -> dict[str, Request]:
        return await self._named(sa.select(batch_requests), keys)

    async def gather(self, requests: Sequence[Request]) -> set[str]:
        rows = [request_row(each) for each in sorted(requests, key=lambda each: each.key)]
        entered: set[str] = set()
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for start in range(0, len(rows), 50):
                    insert = self._dialect.insert(batch_requests).values(rows[start : start + 50])
                    new = await connection.execute(insert.on_conflict_do_nothing().returning(_R.key))
                    entered |= set(new.scalars())
        return entered

    async def see(self, keys: Sequence[str], epoch: int) -> None:
        await self._write(
            *(
                sa.update(batch_requests).where(_R.key.in_(some), _R.epoch < epoch).values(epoch=epoch)
                for some in _pieces(keys)
            )
        )

    async def remove(self, keys: Sequence[str], batch_id: str | None = None) -> set[str]:
        gone: set[str] = set()
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for some in _pieces(keys):
                    statement = sa.delete(batch_requests).where(_R.key.in_(some)).returning(_R.key)
                    if batch_id is not None:
                        statement = statement.where(_R.batch_id == batch_id)
                    gone |= set((await connection.execute(statement)).scalars())
        return gone

    async def release(
        self,
        keys: Sequence[str],
        batch_id: str,
        state: RequestState,
        *,
        tried: bool = False,
        problem: str | None = None,
    ) -> None:
        values: dict[str, Any] = {"state": state, "batch_id": None, "problem": problem}
        if tried:
            values["tries"] = _R.tries + 1
        await self._write(
            *(
                sa.update(batch_requests).where(_R.key.in_(some), _R.batch_id == batch_id).values(values)
                for some in _pieces(keys)
            )
        )

    async def heard(self, run_id: str, epoch: int, *, cancelled: bool) -> None:
        row = {"run_id": run_id, "epoch": epoch, "cancelled": cancelled, "updated_at": self._clock.now()}
        known = [
            sa.select(column).where(column == run_id).exists()
            for column in (batch_requests.c.run_id, provider_batches.c.run_id)
        ]
        chosen = sa.select(*(sa.literal(value, batch_runs.c[name].type) for name, value in row.items())).where(
            sa.or_(*known)
        )
        insert = self._dialect.insert(batch_runs).from_select(list(row), chosen)
        newer = insert.on_conflict_do_update(
            index_elements=[batch_runs.c.run_id],
            set_={name: insert.excluded[name] for name in row if name != "run_id"},
            where=batch_runs.c.epoch < insert.excluded.epoch,
        )
        await self._write(newer)

    async def run(self, run_id: str) -> RunHeard:
        statement = sa.select(batch_runs.c.epoch, batch_runs.c.cancelled).where(batch_runs.c.run_id == run_id)
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                found = (await connection.execute(statement)).one_or_none()
        return RunHeard() if found is None else RunHeard(*found)

    async def forget_refused(self, run_id: str) -> None:
        await self._write(sa.delete(batch_requests).where(_R.run_id == run_id, _R.state == RequestState.REFUSED))

    async def overdue(self, place: str) -> Sequence[Request]:
        late = (_R.place == place) & (_R.state == RequestState.GATHERED) & (_R.deadline_at <= self._clock.now())
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                found = [request_in(row) for row in await connection.execute(sa.select(batch_requests).where(late))]
                if found:
                    await connection.execute(sa.update(batch_requests).where(late).values(state=RequestState.DIRECT))
        return found

    async def places(self) -> Sequence[str]:
        waiting = sa.select(_R.place).where(_R.state == RequestState.GATHERED).distinct()
        running = sa.select(_B.place).where(_B.state != BatchState.DONE).distinct()
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                found = (await connection.execute(waiting.union(running))).scalars()
        return sorted(found)

    async def own(self, place: str, holder: str, seconds: float) -> bool:
        now = self._clock.now()
        insert = self._dialect.insert(batch_owners).values(
            place=place, holder=holder, until=now + dt.timedelta(seconds=seconds)
        )
        taking = insert.on_conflict_do_update(
            index_elements=[batch_owners.c.place],
            set_={"holder": insert.excluded.holder, "until": insert.excluded.until},
            where=(batch_owners.c.holder == holder) | (batch_owners.c.until < now),
        ).returning(batch_owners.c.place)
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                return (await connection.execute(taking)).one_or_none() is not None

    async def disown(self, holder: str) -> None:
        await self._write(sa.delete(batch_owners).where(batch_owners.c.holder == holder))

    async def gathered(self, place: str) -> Gathered:
        statement = sa.select(
            sa.func.count(), sa.func.sum(_R.size), sa.func.min(_R.created_at), sa.func.max(_R.created_at)
        ).where(_R.place == place, _MAY_GO)
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                count, size, oldest, newest = (await connection.execute(statement)).one()
        return Gathered(count, int(size or 0), moment(oldest), moment(newest))

    async def sample(self, place: str, after: str, most: int) -> Sequence[Request]:
        return await self._requests(sa.select(batch_requests).where(_R.place == place, _MAY_GO), after, most)

    async def intend(self, batch: Batch, keys: Sequence[str]) -> Batch | None:
        taken = 0
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for some in _pieces(sorted(keys)):
                    update = sa.update(batch_requests).where(_R.key.in_(some), _R.state == RequestState.GATHERED)
                    mine = update.values(state=RequestState.BATCHED, batch_id=batch.id)
                    taken += (await connection.execute(mine)).rowcount
                if not taken:
                    return None
                entered = batch_row(batch) | {"requests": taken}
                await connection.execute(sa.insert(provider_batches).values(entered))
                await self._sweep(connection)
        return batch_in(entered)

    async def batches(self, place: str) -> Sequence[Batch]:
        return await self._batches(_B.place == place, _B.state != BatchState.DONE)

    async def known(self, place: str) -> Sequence[str]:
        statement = sa.select(_B.provider_id).where(_B.place == place, _B.provider_id.is_not(None))
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return list((await connection.execute(statement)).scalars())

    async def change(self, batch_id: str, **values: Any) -> None:
        await self._write(sa.update(provider_batches).where(_B.id == batch_id).values(values))

    async def requests_of(self, batch_id: str, after: str, most: int) -> Sequence[Request]:
        return await self._requests(sa.select(batch_requests).where(_R.batch_id == batch_id), after, most)

    async def requests_named(self, batch_id: str, keys: Sequence[str]) -> dict[str, Request]:
        return await self._named(sa.select(batch_requests).where(_R.batch_id == batch_id), keys)

    async def standing(self, run_id: str) -> Standing:
        waiting = sa.select(sa.func.count()).where(_R.run_id == run_id, _R.state == RequestState.GATHERED)
        batches = await self._batches(_B.run_id == run_id, _B.state != BatchState.DONE)
        return Standing(await self._scalar(waiting) or 0, batches)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _requests(self, statement: sa.Select[Any], after: str, most: int) -> Sequence[Request]:
        page = statement.where(_R.key > after).order_by(_R.key).limit(most)
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return [request_in(row) for row in await connection.execute(page)]

    async def _named(self, statement: sa.Select[Any], keys: Sequence[str]) -> dict[str, Request]:
        found: dict[str, Request] = {}
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                for some in _pieces(keys):
                    rows = await connection.execute(statement.where(_R.key.in_(some)))
                    found |= {row.key: request_in(row) for row in rows}
        return found

    async def _batches(self, *conditions: sa.ColumnElement[bool]) -> Sequence[Batch]:
        statement = sa.select(provider_batches).where(*conditions).order_by(_B.created_at, _B.id)
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return [batch_in(dict(row._mapping)) for row in await connection.execute(statement)]

    async def _scalar(self, statement: sa.Select[Any]) -> Any:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return await connection.scalar(statement)

    async def _write(self, *statements: Any) -> None:
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for statement in statements:
                    await connection.execute(statement)

    async def _sweep(self, connection: AsyncConnection) -> None:
        """Delete what is left of runs that nobody went on with."""
        long_ago = self._clock.now() - _KEPT
        await connection.execute(
            sa.delete(provider_batches).where(_B.state == BatchState.DONE, _B.created_at < long_ago)
        )
        await connection.execute(sa.delete(batch_requests).where(_R.batch_id.is_(None), _R.created_at < long_ago))
        await connection.execute(sa.delete(batch_runs).where(batch_runs.c.updated_at < long_ago))


def _pieces(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE)]
