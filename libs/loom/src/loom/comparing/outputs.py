"""Compares the outputs of two runs record by record. Those of the first run are kept in a temporary file meanwhile, so
that memory does not grow with their number."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loom.rescoring.outputs import Outputs, Source
from loom_common.domain.json_values import exact_json
from loom_common.domain.json_values.shown import Shown


@dataclass(frozen=True, slots=True)
class ChangedOutput(Shown):
    """Shows the fields of an output that differ."""

    record_id: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(slots=True)
class OutputChange:
    """Counts the records whose outputs both runs have."""

    both: int = 0
    equal: int = 0
    only_before: int = 0
    only_after: int = 0
    gone_before: int = 0
    """The number of records of the first run whose output is no longer to be had; so is the next, of the second."""
    gone_after: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    """Counts, by the name of a field, the records in which it differs."""
    changed: list[ChangedOutput] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and what differs in the first records that do."""
        return {
            "both": self.both,
            "equal": self.equal,
            "different": self.both - self.equal,
            "only_before": self.only_before,
            "only_after": self.only_after,
            "gone_before": self.gone_before,
            "gone_after": self.gone_after,
            "fields": self.fields,
            "changed": [each.as_json() for each in self.changed],
        }


async def compare(before: Source, after: Source, limit: int) -> OutputChange:
    """Compare the outputs of two runs, and show at most `limit` that differ. Raises what reading them raises."""
    change = OutputChange()
    async with _kept_beside() as kept:
        async for outputs in _all(before):
            change.gone_before += len(outputs.gone)
            rows = [(each.id, exact_json.dumps(before.comparable(each.result))) for each in outputs.records]
            await asyncio.to_thread(kept.put, rows)
        async for outputs in _all(after):
            change.gone_after += len(outputs.gone)
            was = await asyncio.to_thread(kept.take, [each.id for each in outputs.records])
            for each in outputs.records:
                if (text := was.get(each.id)) is None:
                    change.only_after += 1
                else:
                    _enter(change, each.id, json.loads(text), after.comparable(each.result), limit)
        change.only_before = await asyncio.to_thread(kept.left)
    return change


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that differ, in the order of the second output. Pure."""
    names = dict.fromkeys([*after, *before])
    missing = object()
    return [name for name in names if before.get(name, missing) != after.get(name, missing)]


def _enter(
    change: OutputChange, record_id: str, before: Mapping[str, Any], after: Mapping[str, Any], limit: int
) -> None:
    change.both += 1
    names = differing(before, after)
    if not names:
        change.equal += 1
        return
    for name in names:
        change.fields[name] = change.fields.get(name, 0) + 1
    if len(change.changed) < limit:
        shown = [{name: each[name] for name in names if name in each} for each in (before, after)]
        change.changed.append(ChangedOutput(record_id, *shown))


async def _all(source: Source) -> AsyncIterator[Outputs]:
    async for outputs in source.kept(settled=True):
        yield outputs
    async for outputs in source.read():
        yield outputs


class _Kept:
    """Keeps texts by name in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._opened()) as database, database:
            database.execute("CREATE TABLE outputs (id TEXT PRIMARY KEY, output TEXT) WITHOUT ROWID")

    def put(self, rows: Sequence[tuple[str, bytes]]) -> None:
        with closing(self._opened()) as database, database:
            texts = [(name, text.decode()) for name, text in rows]
            database.executemany("INSERT OR REPLACE INTO outputs VALUES (?, ?)", texts)

    def take(self, names: Sequence[str]) -> dict[str, str]:
        """Return the texts of these names, and forget them."""
        listed = json.dumps(list(names))
        with closing(self._opened()) as database, database:
            query = "DELETE FROM outputs WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, output"
            return dict(database.execute(query, [listed]).fetchall())

    def left(self) -> int:
        """Return how many were not taken."""
        with closing(self._opened()) as database:
            number: int = database.execute("SELECT count(*) FROM outputs").fetchone()[0]
            return number

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA journal_mode = MEMORY")
        return database


@asynccontextmanager
async def _kept_beside() -> AsyncIterator[_Kept]:
    with tempfile.TemporaryDirectory(prefix="loom-diff-") as folder:
        yield await asyncio.to_thread(_Kept, Path(folder) / "outputs.db")
