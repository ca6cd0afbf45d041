"""Keeps the values that records of a run have in a table of the database that all replicas share."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from loom_ai.journal.tables import seen_values
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.seen_values import SeenValue

_KEPT = dt.timedelta(days=30)
"""The age at which a value is deleted. A replay after that time finds the values of its run no more."""
_SWEPT = 10_000
"""The most values that one process deletes, at its first call."""
_WHAT = "The values of unique checks"

# One parameter holds all values, so that the statement is the same, and quick to prepare, whatever their number.
_ENTER = {
    "sqlite": """
        INSERT INTO seen_values (scope, check_name, digest, record_id, created_at)
        SELECT :scope, :check, json_extract(value, '$[0]'), json_extract(value, '$[1]'), :now
        FROM json_each(:pairs) WHERE true ON CONFLICT DO NOTHING""",
    "postgresql": """
        INSERT INTO seen_values (scope, check_name, digest, record_id, created_at)
        SELECT :scope, :check, value ->> 0, value ->> 1, :now
        FROM json_array_elements(CAST(:pairs AS json)) ON CONFLICT DO NOTHING""",
}
_READ = {
    "sqlite": """
        SELECT digest, record_id FROM seen_values WHERE scope = :scope AND check_name = :check
        AND digest IN (SELECT json_extract(value, '$[0]') FROM json_each(:pairs))""",
    "postgresql": """
        SELECT digest, record_id FROM seen_values WHERE scope = :scope AND check_name = :check
        AND digest IN (SELECT value ->> 0 FROM json_array_elements(CAST(:pairs AS json)))""",
}


class SqlSeenValues:
    """Keeps `SeenValues` with an engine of its own. The migrations must have created the table."""

    def __init__(self, engine: AsyncEngine, place: str, clock: Clock | None = None) -> None:
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        kinds = [sa.bindparam(name, type_=sa.String) for name in ("scope", "check", "pairs")]
        now = sa.bindparam("now", type_=sa.DateTime(timezone=True))
        self._enter = sa.text(_ENTER[engine.dialect.name]).bindparams(*kinds, now)
        self._read = sa.text(_READ[engine.dialect.name]).bindparams(*kinds)
        self._swept = False

    async def first(self, values: Sequence[SeenValue]) -> Sequence[str]:
        groups: dict[tuple[str, str], dict[str, str]] = {}
        for each in values:  # of several records with one value, the first counts
            groups.setdefault((each.scope, each.check), {}).setdefault(each.digest, each.record_id)
        holders: dict[tuple[str, str], Mapping[str, str]] = {}
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await self._sweep(connection)
                for group in sorted(groups):
                    holders[group] = await self._entered(connection, *group, groups[group])
        return [holders[each.scope, each.check][each.digest] for each in values]

    async def close(self) -> None:
        await self._engine.dispose()

    async def _entered(
        self, connection: AsyncConnection, scope: str, check: str, records: Mapping[str, str]
    ) -> Mapping[str, str]:
        # Values are entered in the same order everywhere, so that two replicas cannot deadlock.
        named = {"scope": scope, "check": check, "pairs": json.dumps(sorted(records.items()))}
        entered = await connection.execute(self._enter, {**named, "now": self._clock.now()})
        if entered.rowcount == len(records):
            return records
        rows = (await connection.execute(self._read, named)).all()
        return {row.digest: row.record_id for row in rows}

    async def _sweep(self, connection: AsyncConnection) -> None:
        """Delete old values, once per process."""
        if self._swept:
            return
        self._swept = True
        columns = seen_values.c
        key = sa.tuple_(columns.scope, columns.check_name, columns.digest)
        old = (
            sa.select(columns.scope, columns.check_name, columns.digest)
            .where(columns.created_at < self._clock.now() - _KEPT)
            .limit(_SWEPT)
        )
        await connection.execute(sa.delete(seen_values).where(key.in_(old)))
