"""Keeps the records that steps have grouped in a table of the database that all replicas share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from loom_ai.journal.tables import group_members
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncEngine
from loom_common.domain.json_values import exact_json
from loom_common.domain.steps.grouping import GroupMember
from loom_common.ports.group_members import Cursor

_WHAT = "The members of groups"
_LAST = "9" * 24


class SqlGroupMembers:
    """Keeps `GroupMembers` with an engine of its own. The migrations must have created the table."""

    def __init__(self, engine: AsyncEngine, place: str) -> None:
        self._engine = engine
        self._place = place

    async def keep(self, run_id: str, step: str, batch: str, members: Sequence[GroupMember]) -> None:
        columns = group_members.c
        last = batch + _LAST[len(batch) :]
        earlier = sa.delete(group_members).where(
            columns.run_id == run_id, columns.step == step, columns.place >= batch, columns.place <= last
        )
        rows = [
            {
                "run_id": run_id,
                "step": step,
                "place": each.place,
                "group_hash": each.group,
                "record_id": each.record_id,
                "content": exact_json.dumps([list(each.by), dict(each.values)]).decode(),
            }
            for each in members
        ]
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await connection.execute(earlier)
                if rows:
                    await connection.execute(group_members.insert(), rows)

    async def page(self, run_id: str, step: str, after: Cursor | None, limit: int) -> Sequence[GroupMember]:
        columns = group_members.c
        statement = (
            sa.select(columns.group_hash, columns.place, columns.record_id, columns.content)
            .where(columns.run_id == run_id, columns.step == step)
            .order_by(columns.group_hash, columns.place)
            .limit(limit)
        )
        if after is not None:
            place = sa.tuple_(columns.group_hash, columns.place)
            statement = statement.where(place > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])))
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                rows = (await connection.execute(statement)).all()
        return [GroupMember(row.group_hash, row.place, row.record_id, *exact_json.loads(row.content)) for row in rows]

    async def runs(self) -> Sequence[str]:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return list((await connection.execute(sa.select(group_members.c.run_id).distinct())).scalars())

    async def forget(self, run_ids: Collection[str]) -> None:
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for run_id in run_ids:
                    await connection.execute(sa.delete(group_members).where(group_members.c.run_id == run_id))

    async def close(self) -> None:
        await self._engine.dispose()
