"""Keeps the rows of other sources in tables of the database that all replicas share. Equal sources are kept once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from loom_ai.journal.tables import joined_counts, joined_rows, joined_runs, joined_tables, joined_words
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.json_values import exact_json
from loom_common.domain.steps.functions.matching import COMMON, Posting, looked_for, ranked
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.joined_tables import JoinedRow, JoinedTable, Row

_WHAT = "The rows of other sources"
_KEPT = dt.timedelta(days=30)
"""How long a source is kept after a run has last read it. A later replay reads the source again."""
_TOUCHED = dt.timedelta(days=1)
"""The pause between two notes that a run still reads a source, and the most that reading one takes."""
_UNREAD = ""
"""The version of a source of which not all rows are there yet."""
_TOGETHER = 400
"""The most values that one statement looks for: a database has a limit of them."""
_PARTS = (joined_rows, joined_words, joined_counts)
_HOLD = sa.text(
    "INSERT INTO joined_runs (scope, step, table_name, used_at) VALUES (:scope, :step, :name, :now) "
    "ON CONFLICT DO NOTHING"
).bindparams(sa.bindparam("now", type_=sa.DateTime(timezone=True)))


class SqlJoinedTables:
    """Keeps `JoinedTables` with an engine of its own. The migrations must have created the tables."""

    def __init__(self, engine: AsyncEngine, place: str, clock: Clock | None = None) -> None:
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        self._swept = False

    async def table_of(self, scope: str, step: str) -> JoinedTable | None:
        await self._sweep()
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                held, used_at = await _held(connection, scope, step)
        if used_at is not None and used_at < self._clock.now() - _TOUCHED:
            runs = joined_runs.c
            touch = sa.update(joined_runs).where(runs.scope == scope, runs.step == step)
            with trouble(_WHAT, self._place, "written"):
                async with self._engine.begin() as connection:
                    await connection.execute(touch.values(used_at=self._clock.now()))
        return held

    async def begin(self, name: str) -> None:
        row = {"name": name, "version": _UNREAD, "layout": _UNREAD, "row_count": 0, "held_at": self._clock.now()}
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await connection.execute(joined_tables.insert(), row)

    async def add(self, name: str, rows: Sequence[JoinedRow]) -> None:
        contents = [
            {"table_name": name, "number": each.number, "key_hash": each.key, "content": _text(each.content)}
            for each in rows
        ]
        words = [
            {"table_name": name, "word": word, "number": each.number, "size": len(each.words)}
            for each in rows
            for word in each.words
        ]
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                for table, some in ((joined_rows, contents), (joined_words, words)):
                    if some:
                        await connection.execute(table.insert(), some)

    async def hold(self, scope: str, step: str, table: JoinedTable, layout: str) -> JoinedTable:
        tables, words = joined_tables.c, joined_words.c
        counted = (
            sa.select(words.table_name, words.word, sa.func.count())
            .where(words.table_name == table.name)
            .group_by(words.table_name, words.word)
        )
        alike = sa.select(tables.name).where(tables.version == table.version, tables.layout == layout)
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                name = (await connection.execute(alike.order_by(tables.held_at, tables.name).limit(1))).scalar()
                if name is None:
                    name = table.name
                    complete = sa.update(joined_tables).where(tables.name == name)
                    values = {"version": table.version, "layout": layout, "row_count": table.rows}
                    await connection.execute(complete.values(values))
                    await connection.execute(
                        joined_counts.insert().from_select(["table_name", "word", "row_count"], counted)
                    )
                held_now = sa.update(joined_tables).where(tables.name == name).values(held_at=self._clock.now())
                await connection.execute(held_now)
                await connection.execute(_HOLD, {"scope": scope, "step": step, "name": name, "now": self._clock.now()})
                held, _ = await _held(connection, scope, step)
                assert held is not None
                if held.name != table.name:
                    await _drop(connection, [table.name])
                return held

    async def with_keys(self, name: str, keys: Sequence[str], most: int) -> Mapping[str, Sequence[Row]]:
        rows = joined_rows.c
        place = sa.func.row_number().over(partition_by=rows.key_hash, order_by=rows.number).label("place")
        found: dict[str, list[Row]] = {}
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                for some in _cut(list(dict.fromkeys(keys))):
                    numbered = (
                        sa.select(rows.key_hash, rows.number, rows.content, place)
                        .where(rows.table_name == name, rows.key_hash.in_(some))
                        .subquery()
                    )
                    chosen = sa.select(numbered).where(numbered.c.place <= most)
                    for row in await connection.execute(chosen.order_by(numbered.c.number)):
                        found.setdefault(row.key_hash, []).append(exact_json.loads(row.content))
        return found

    async def with_words(
        self, table: JoinedTable, records: Sequence[Sequence[str]], most: int
    ) -> Sequence[Sequence[Row]]:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                counts = await _counts(connection, table.name, {word for words in records for word in words})
                wanted = [looked_for(words, counts) for words in records]
                postings = await _postings(
                    connection, table.name, {word: counts[word] for each in wanted for word in each}
                )
                numbers = [ranked(each, counts, table.rows, postings, most) for each in wanted]
                contents = await _contents(connection, table.name, {number for each in numbers for number in each})
        return [[contents[number] for number in each] for each in numbers]

    async def page(self, name: str, after: int, most: int) -> Sequence[Row]:
        rows = joined_rows.c
        statement = sa.select(rows.content).where(rows.table_name == name, rows.number > after)
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                found = await connection.execute(statement.order_by(rows.number).limit(most))
                return [exact_json.loads(row.content) for row in found]

    async def with_numbers(self, name: str, numbers: Sequence[int]) -> Mapping[int, Row]:
        with trouble(_WHAT, self._place, "read"):
            async with self._engine.connect() as connection:
                return await _contents(connection, name, set(numbers))

    async def close(self) -> None:
        await self._engine.dispose()

    async def _sweep(self) -> None:
        """Delete what nobody has read for long, once per process, and what a reader that was killed left behind."""
        if self._swept:
            return
        self._swept = True
        now = self._clock.now()
        runs, tables = joined_runs.c, joined_tables.c
        unread = (tables.version == _UNREAD) & (tables.held_at < now - _TOUCHED)
        unused = (tables.held_at < now - _KEPT) & tables.name.not_in(sa.select(runs.table_name))
        gone = sa.delete(joined_tables).where(unread | unused).returning(tables.name)
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await connection.execute(sa.delete(joined_runs).where(runs.used_at < now - _KEPT))
                await _drop(connection, list((await connection.execute(gone)).scalars()))


async def _held(connection: AsyncConnection, scope: str, step: str) -> tuple[JoinedTable | None, dt.datetime | None]:
    """Return the table that a step of a run joins with, and when that was last asked for."""
    runs, tables = joined_runs.c, joined_tables.c
    statement = (
        sa.select(tables.name, tables.version, tables.row_count, runs.used_at)
        .join(joined_runs, runs.table_name == tables.name)
        .where(runs.scope == scope, runs.step == step)
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        return None, None
    used_at = row.used_at if row.used_at.tzinfo is not None else row.used_at.replace(tzinfo=dt.UTC)
    return JoinedTable(row.name, row.version, row.row_count), used_at


async def _drop(connection: AsyncConnection, names: Sequence[str]) -> None:
    for name in names:
        for part in _PARTS:
            await connection.execute(sa.delete(part).where(part.c.table_name == name))
        await connection.execute(sa.delete(joined_tables).where(joined_tables.c.name == name))


async def _counts(connection: AsyncConnection, name: str, words: set[str]) -> dict[str, int]:
    columns, found = joined_counts.c, dict[str, int]()
    for some in _cut(sorted(words)):
        statement = sa.select(columns.word, columns.row_count)
        rows = await connection.execute(statement.where(columns.table_name == name, columns.word.in_(some)))
        found.update({row.word: row.row_count for row in rows})
    return found


async def _postings(connection: AsyncConnection, name: str, counts: Mapping[str, int]) -> dict[str, list[Posting]]:
    """Return the rows of each word, which `counts` says how many are; of a common one the first."""
    columns, found = joined_words.c, dict[str, list[Posting]]()
    statement = sa.select(columns.word, columns.number, columns.size).where(columns.table_name == name)
    rare = sorted(word for word, number in counts.items() if number <= COMMON)
    chosen = [statement.where(columns.word.in_(some)) for some in _cut(rare)]
    chosen += [
        statement.where(columns.word == word).order_by(columns.number).limit(COMMON)
        for word in sorted(set(counts) - set(rare))
    ]
    for each in chosen:
        for row in await connection.execute(each):
            found.setdefault(row.word, []).append((row.number, row.size))
    return found


async def _contents(connection: AsyncConnection, name: str, numbers: set[int]) -> dict[int, Row]:
    columns, found = joined_rows.c, dict[int, Row]()
    for some in _cut(sorted(numbers)):
        statement = sa.select(columns.number, columns.content)
        rows = await connection.execute(statement.where(columns.table_name == name, columns.number.in_(some)))
        found.update({row.number: exact_json.loads(row.content) for row in rows})
    return found


def _cut(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _TOGETHER):
        yield values[start : start + _TOGETHER]


def _text(content: Mapping[str, Any]) -> str:
    return exact_json.dumps(dict(content)).decode()
