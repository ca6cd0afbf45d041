"""Keeps batch marks in a table beside the journal's. Committed marks outlive the process.

Batches that begin or end at the same time share a transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from types import ModuleType
from typing import Any

import orjson
import sqlalchemy as sa

from loom_ai.coalescing import Coalescer
from loom_ai.journal.tables import batch_marks
from loom_ai.stores.sql.dialects import dialect_of
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.marks import Mark
from loom_common.ports.clock import Clock, SystemClock

_KEPT = dt.timedelta(days=7)
"""The age at which a mark is deleted: no batch comes back after that time."""


class SqlMarks:
    """Keeps `Marks` with an engine of its own. The migrations must have created the table."""

    def __init__(self, engine: AsyncEngine, place: str, clock: Clock | None = None) -> None:
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        self._dialect: ModuleType = dialect_of(engine)
        self._fresh = (
            self._dialect.insert(batch_marks).on_conflict_do_nothing().returning(batch_marks.c.batch)
        )  # built once, so that it is compiled once
        self._swept = False
        self._begin = Coalescer(self._begin_group)
        self._clear = Coalescer(self._clear_group)

    async def begin(self, batch: str, mark: Mark) -> Mark | None:
        return await self._begin((batch, mark))

    async def keep(self, batch: str, mark: Mark) -> None:
        statement = self._dialect.insert(batch_marks)
        replaced = {name: statement.excluded[name] for name in ("mark", "updated_at")}
        with trouble("The marks", self._place, "written"):
            upsert = statement.on_conflict_do_update(index_elements=["batch"], set_=replaced)
            await self._engine.carry_out(upsert, self._row(batch, mark))

    async def clear(self, batch: str) -> None:
        await self._clear(batch)

    async def close(self) -> None:
        await self._begin.close()
        await self._clear.close()
        await self._engine.dispose()

    async def _begin_group(self, items: Sequence[tuple[str, Mark]]) -> Sequence[Mark | None]:
        mine = dict(reversed(items))  # of several marks for one batch, the first counts
        rows = [self._row(*item) for item in mine.items()]
        with trouble("The marks", self._place, "written"):
            async with self._engine.begin() as connection:
                await self._sweep(connection)
                begun = set((await connection.execute(self._fresh, rows)).scalars())
                found = await self._older(connection, mine.keys() - begun)
        answers: list[Mark | None] = []
        for batch, _ in items:
            answers.append(found.get(batch))
            found.setdefault(batch, mine[batch])  # a later request in the same group finds this mark
        return answers

    async def _older(self, connection: AsyncConnection, batches: Collection[str]) -> dict[str, Mark]:
        if not batches:
            return {}
        marked = sa.select(batch_marks.c.batch, batch_marks.c.mark).where(batch_marks.c.batch.in_(batches))
        rows = (await connection.execute(marked)).all()
        return {batch: Mark.of_json(orjson.loads(text)) for batch, text in rows}

    async def _clear_group(self, batches: Sequence[str]) -> Sequence[None]:
        with trouble("The marks", self._place, "written"):
            await self._engine.carry_out(sa.delete(batch_marks).where(batch_marks.c.batch.in_(batches)))
        return [None] * len(batches)

    async def _sweep(self, connection: AsyncConnection) -> None:
        """Delete old marks, once per process."""
        if not self._swept:
            self._swept = True
            old = self._clock.now() - _KEPT
            await connection.execute(sa.delete(batch_marks).where(batch_marks.c.updated_at < old))

    def _row(self, batch: str, mark: Mark) -> dict[str, Any]:
        return {"batch": batch, "mark": orjson.dumps(mark.as_json()).decode(), "updated_at": self._clock.now()}
