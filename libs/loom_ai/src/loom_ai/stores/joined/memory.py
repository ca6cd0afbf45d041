"""Keeps the rows of other sources in memory, for estimates and tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from loom_common.domain.steps.functions.matching import COMMON, Posting, looked_for, ranked
from loom_common.ports.joined_tables import JoinedRow, JoinedTable, Row


class MemoryJoinedTables:
    """Keeps `JoinedTables` as long as the process lives."""

    def __init__(self) -> None:
        self._rows: dict[str, list[JoinedRow]] = {}
        self._held: dict[tuple[str, str], JoinedTable] = {}
        self._layouts: dict[tuple[str, str], JoinedTable] = {}

    async def table_of(self, scope: str, step: str) -> JoinedTable | None:
        return self._held.get((scope, step))

    async def begin(self, name: str) -> None:
        self._rows[name] = []

    async def add(self, name: str, rows: Sequence[JoinedRow]) -> None:
        self._rows[name].extend(rows)

    async def hold(self, scope: str, step: str, table: JoinedTable, layout: str) -> JoinedTable:
        alike = self._layouts.get((table.version, layout), table)
        held = self._held.setdefault((scope, step), alike)
        if held == table:
            self._layouts[table.version, layout] = table
        else:
            del self._rows[table.name]
        return held

    async def with_keys(self, name: str, keys: Sequence[str], most: int) -> Mapping[str, Sequence[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self._rows.get(name, ()):
            if row.key is not None and row.key in keys and len(found.setdefault(row.key, [])) < most:
                found[row.key].append(row.content)
        return found

    async def with_words(
        self, table: JoinedTable, records: Sequence[Sequence[str]], most: int
    ) -> Sequence[Sequence[Row]]:
        rows = {row.number: row for row in self._rows.get(table.name, ())}
        counts = Counter(word for row in rows.values() for word in row.words)
        postings: dict[str, list[Posting]] = {}
        for number, row in rows.items():
            for word in row.words:
                if len(some := postings.setdefault(word, [])) < COMMON:
                    some.append((number, len(row.words)))
        wanted = (ranked(looked_for(words, counts), counts, table.rows, postings, most) for words in records)
        return [[rows[number].content for number in each] for each in wanted]

    async def page(self, name: str, after: int, most: int) -> Sequence[Row]:
        return [row.content for row in self._rows.get(name, ())[after : after + most]]

    async def with_numbers(self, name: str, numbers: Sequence[int]) -> Mapping[int, Row]:
        wanted = set(numbers)
        return {row.number: row.content for row in self._rows.get(name, ()) if row.number in wanted}

    async def close(self) -> None:
        pass
