"""What every destination must do: take a batch once, whoever loads it how often, and show a run's result as one."""

from __future__ import annotations

import asyncio
import csv
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from loom_common.config.credentials import Credentials, EnvProvider
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.ports import ConnectorContext, Destination, Guarantee, LoadBatch, LoadResult, Row
from loom_connectors.registry import open_destination

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "text": {"type": "string"}}}
TABLE = "CREATE TABLE scores (id integer PRIMARY KEY, text text NOT NULL, CHECK (id < 1000))"


def batch(position: int, *rows: dict[str, Any], run: str = "run_1") -> LoadBatch:
    """The batch at `position` of a run's only slice."""
    return LoadBatch(
        run_id=run,
        batch_id=f"{run}-{position}",
        partition=0,
        slice=0,
        position=position,
        rows=[Row(f"r{position}.{at}", values) for at, values in enumerate(rows)],
    )


def row(number: int) -> dict[str, Any]:
    return {"id": number, "text": f"line\n{number}, «so»"}


@dataclass
class Place:
    """Where a destination writes, and how to see what is there."""

    folder: Path
    url: str
    location: str
    mode: str

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Destination]:
        """The destination, as one more process opens it."""
        surroundings = ConnectorContext(
            self.folder, Credentials({"env": EnvProvider({"DB": self.url})}), output_schema=SCHEMA
        )
        key = ["id"] if self.mode == "upsert" else []
        destination = open_destination(LoadConfig(destination=self.location, mode=self.mode, key=key), surroundings)
        try:
            yield destination
        finally:
            await destination.close()

    async def load(self, *batches: LoadBatch) -> list[LoadResult]:
        async with self.opened() as destination:
            return [await destination.load(each) for each in batches]

    async def finalize(self, run: str = "run_1", *, complete: bool = True, keep: bool = False) -> bool:
        async with self.opened() as destination:
            return await destination.finalize(run, complete=complete, keep=keep)

    async def drop(self, run: str = "run_1") -> bool:
        async with self.opened() as destination:
            return await destination.drop(run)

    async def beside(self) -> list[str]:
        """What of a run lies beside the destination: staging tables, and folders with parts."""
        folders = [str(path.name) for path in (self.folder / "out").glob("*.loom/run_*") if path.is_dir()]
        if self.url:
            connection = await asyncpg.connect(self.url)
            names = await connection.fetch("SELECT tablename AS name FROM pg_tables WHERE tablename LIKE '%run%'")
            await connection.close()
            return [each["name"] for each in names]
        if not (self.folder / "out/scores.db").exists():
            return folders
        with closing(sqlite3.connect(self.folder / "out/scores.db")) as db:
            return [
                name
                for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'scores!_!_loom%' ESCAPE '!'")
            ]

    async def rows(self) -> list[dict[str, Any]]:
        """What a reader finds, in the order it is there."""
        return [{"id": int(each["id"]), "text": each["text"]} for each in await self._read()]

    async def _read(self) -> Sequence[Any]:
        path = self.folder / "out" / self.location.partition("?")[0].rpartition("/")[2]
        if self.url:
            connection = await asyncpg.connect(self.url)
            try:
                found = await connection.fetchval("SELECT to_regclass('scores') IS NOT NULL")
                return await connection.fetch("SELECT id, text FROM scores ORDER BY id") if found else []
            finally:
                await connection.close()
        if not path.exists():
            return []
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as stream:
                return list(csv.DictReader(stream))
        if path.suffix == ".jsonl":
            return [orjson.loads(line) for line in path.read_bytes().splitlines()]
        with closing(sqlite3.connect(path)) as db:
            db.row_factory = sqlite3.Row
            found = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'scores'").fetchone()
            return db.execute("SELECT id, text FROM scores ORDER BY id").fetchall() if found else []

    async def make_table(self, sql: str = TABLE) -> None:
        """The table, made by somebody else before."""
        if self.url:
            connection = await asyncpg.connect(self.url)
            await connection.execute(sql)
            await connection.close()
        else:
            (self.folder / "out").mkdir()
            with closing(sqlite3.connect(self.folder / "out/scores.db")) as db, db:
                db.execute(sql)


FILES = ("out/scores.csv", "out/scores.jsonl")
TABLES = ("sqlite:///out/scores.db?table=scores", "${DB}?table=scores")


def places(*locations_and_modes: tuple[str, str]) -> Any:
    return pytest.mark.parametrize(
        "where", locations_and_modes, ids=[f"{location}-{mode}" for location, mode in locations_and_modes]
    )


ADDING = [(location, mode) for location in FILES for mode in ("append",)] + [
    (location, mode) for location in TABLES for mode in ("append", "upsert")
]
REPLACING = [(location, "replace") for location in FILES + TABLES]
IN_TABLES = [(location, mode) for location in TABLES for mode in ("append", "upsert", "replace")]
EVERY = ADDING + REPLACING


@pytest.fixture
def at(request, tmp_path, where) -> Place:
    location, mode = where
    url = request.getfixturevalue("postgres_url") if "${DB}" in location else ""
    return Place(tmp_path, url, location, mode)


@places(*EVERY)
async def test_a_run_is_shown_when_it_is_finalized(at):
    async with at.opened() as destination:
        await destination.check()
        assert destination.guarantee in (Guarantee.LEDGER, Guarantee.OBJECT)
    results = await at.load(batch(0, row(1), row(2)), batch(1, row(3)))
    await at.finalize()
    assert results == [LoadResult(2), LoadResult(1)]
    assert await at.rows() == [row(1), row(2), row(3)]


@places(*EVERY)
async def test_a_batch_loaded_twice_is_there_once(at):
    first = await at.load(batch(0, row(1), row(2)))
    again = await at.load(batch(0, row(1), row(2)))
    await at.finalize()
    assert first == again == [LoadResult(2)]
    assert await at.rows() == [row(1), row(2)]


@places(*EVERY)
async def test_a_batch_loaded_by_many_at_once_is_there_once(at):
    results = await asyncio.gather(*(at.load(batch(0, row(1), row(2))) for _ in range(4)))
    await at.finalize()
    assert results == [[LoadResult(2)]] * 4
    assert await at.rows() == [row(1), row(2)]


@places(*EVERY)
async def test_many_batches_at_once_are_all_there(at):
    async with at.opened() as one, at.opened() as other:
        await asyncio.gather(*((one, other)[n % 2].load(batch(n, row(n))) for n in range(12)))
    await at.finalize()
    assert await at.rows() == [row(n) for n in range(12)]


@places(*EVERY)
async def test_finalizing_twice_is_once(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.finalize()
    assert await at.rows() == [row(1)]


@places(*EVERY)
async def test_a_batch_that_comes_late_again_changes_nothing(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    assert await at.load(batch(0, row(1))) == [LoadResult(1)]
    await at.finalize()
    assert await at.rows() == [row(1)]


@places(*EVERY)
async def test_rows_stand_in_the_order_of_the_source(at):
    await at.load(*(batch(position, row(position)) for position in (10, 2, 0, 11, 1)))
    await at.finalize()
    assert [each["id"] for each in await at.rows()] == [0, 1, 2, 10, 11]


@places(*EVERY)
async def test_a_run_without_records_can_be_finalized(at):
    await at.finalize()
    await at.finalize()
    assert await at.rows() == []


@places(*EVERY)
async def test_a_batch_without_rows_is_loaded(at):
    assert await at.load(batch(0)) == [LoadResult(0)]
    await at.finalize()
    assert await at.rows() == []


@places(*ADDING)
async def test_a_second_run_adds_to_the_first(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.load(batch(0, row(2), run="run_2"))
    await at.finalize("run_2")
    await at.finalize("run_1")
    assert await at.rows() == [row(1), row(2)]


@places(*ADDING)
async def test_a_cancelled_run_shows_what_was_loaded_and_can_go_on(at):
    await at.load(batch(0, row(1)))
    await at.finalize(complete=False)
    assert await at.rows() == [row(1)]
    await at.load(batch(0, row(1)), batch(1, row(2)))
    await at.finalize(complete=False)
    await at.finalize(complete=True)
    assert await at.rows() == [row(1), row(2)]


@places(*REPLACING)
async def test_a_second_run_replaces_the_first(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.load(batch(0, row(2), run="run_2"))
    assert await at.rows() == [row(1)]
    await at.finalize("run_2")
    assert await at.rows() == [row(2)]
    await at.finalize("run_1")
    assert await at.rows() == [row(2)]


@places(*REPLACING)
async def test_a_cancelled_run_replaces_nothing_and_can_go_on(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.load(batch(0, row(2), run="run_2"))
    await at.finalize("run_2", complete=False)
    assert await at.rows() == [row(1)]
    await at.load(batch(1, row(3), run="run_2"))
    await at.finalize("run_2", complete=True)
    assert await at.rows() == [row(2), row(3)]


@places(*REPLACING)
async def test_a_run_that_is_given_up_leaves_nothing_beside_and_replaces_nothing(at):
    await at.load(batch(0, row(1)))
    assert await at.finalize() is True
    await at.load(batch(0, row(2), run="run_2"))
    assert await at.finalize("run_2", complete=False) is False
    assert await at.beside() != []
    for _ in range(2):
        assert await at.drop("run_2") is False
        assert await at.beside() == []
    assert await at.drop("run_3") is False
    assert await at.rows() == [row(1)]


@places(*REPLACING)
async def test_giving_up_a_run_whose_rows_are_in_place_takes_nothing_away(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    assert await at.drop() is True
    assert await at.rows() == [row(1)]


@places(*ADDING)
async def test_giving_up_a_run_shows_what_it_added(at):
    await at.load(batch(0, row(1)))
    assert await at.drop() is True
    assert await at.rows() == [row(1)]


@places(*REPLACING)
async def test_a_run_without_records_leaves_what_is_there_where_it_is_told_to_keep_it(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    assert await at.finalize("run_2", keep=True) is False
    assert await at.rows() == [row(1)]


@places(*REPLACING)
async def test_what_is_there_is_kept_only_where_something_is_there(at):
    assert await at.finalize(keep=True) is True


@places(*EVERY)
async def test_a_destination_says_whether_rows_are_staged_and_what_a_later_run_makes_of_them(at):
    async with at.opened() as destination:
        assert destination.stages is (at.mode == "replace" or "csv" in at.location or "jsonl" in at.location)
        assert f"mode {at.mode}" in destination.effect


@places(*REPLACING)
async def test_a_run_without_records_replaces_all_with_nothing(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    await at.finalize("run_2")
    assert await at.rows() == []


@places(*IN_TABLES)
async def test_a_bad_row_fails_alone_and_the_same_way_again(at):
    await at.make_table()
    rows = [row(1), {"id": 2, "text": None}, row(3), row(1000), row(4)]
    for _ in range(2):
        (result,) = await at.load(batch(0, *rows))
        assert result.loaded == 3
        assert [(each.record_id, each.code) for each in result.failed] == [
            ("r0.1", "constraint"),
            ("r0.3", "constraint"),
        ]
        assert "text" in result.failed[0].reason
    await at.finalize()
    assert await at.rows() == [row(1), row(3), row(4)]


@places(*[each for each in IN_TABLES if each[1] != "upsert"])
async def test_of_two_rows_with_one_key_the_first_is_kept(at):
    await at.make_table()
    (result,) = await at.load(batch(0, row(1), {"id": 1, "text": "again"}, row(2)))
    await at.finalize()
    assert [each.record_id for each in result.failed] == ["r0.1"]
    assert await at.rows() == [row(1), row(2)]


@places(*[each for each in IN_TABLES if each[1] == "upsert"])
async def test_an_upsert_keeps_the_last_row_of_a_key(at):
    results = await at.load(
        batch(0, row(1), {"id": 2, "text": "b"}, {"id": 2, "text": "c"}), batch(1, {"id": 1, "text": "new"})
    )
    assert results == [LoadResult(3), LoadResult(1)]
    assert await at.rows() == [{"id": 1, "text": "new"}, {"id": 2, "text": "c"}]


@places(*IN_TABLES)
async def test_a_column_that_some_rows_have_beyond_the_table_fails_those_rows(at):
    await at.make_table()
    (result,) = await at.load(batch(0, row(1), {**row(2), "extra": "x"}))
    assert (result.loaded, result.failed[0].record_id, result.failed[0].code) == (1, "r0.1", "missing_column")
    assert "id, text" in result.failed[0].reason


# Exactly once follows a record: what a replay loaded is not loaded by another, whoever died or was cancelled between.


def replayed(*numbers, run, position=0, origin="run_0"):
    """A batch of a replay of `origin`; records are named by their numbers."""
    rows = [Row(f"r{number}", row(number)) for number in numbers]
    return replace(batch(position, run=run), rows=rows, origin=origin)


@places(*ADDING)
async def test_a_record_is_loaded_by_one_replay_of_its_run(at):
    await at.load(replayed(1, 2, run="run_1"))  # and this replay is cancelled before it has told anybody
    await at.finalize("run_1", complete=False)
    [result] = await at.load(replayed(2, 3, run="run_2"))
    assert (result.loaded, list(result.failed)) == (2, [])
    [nothing_new] = await at.load(replayed(1, 3, run="run_3"))
    assert nothing_new.loaded == 2
    for run in ("run_2", "run_3"):
        await at.finalize(run)
    assert await at.rows() == [row(1), row(2), row(3)]


@places(*ADDING)
async def test_a_replay_that_is_resumed_loads_its_batches_as_before(at):
    for _ in range(2):
        [result] = await at.load(replayed(1, 2, run="run_1"))
        assert result.loaded == 2
    for _ in range(2):
        await at.finalize("run_1")
    assert await at.rows() == [row(1), row(2)]


@places(*ADDING)
async def test_a_run_that_is_resumed_leaves_out_what_its_replays_loaded(at):
    await at.load(replayed(1, run="run_1"))
    await at.finalize("run_1")
    [result] = await at.load(replayed(1, 2, run="run_0"))
    assert result.loaded == 2
    await at.finalize("run_0")
    assert await at.rows() == [row(1), row(2)]


@places(*ADDING)
async def test_another_run_over_the_same_records_is_no_replay(at):
    results = await at.load(
        replayed(1, run="run_1"), replayed(1, run="run_2", origin="run_9"), batch(0, row(1), run="run_5")
    )
    for run in ("run_1", "run_2", "run_5"):
        await at.finalize(run)
    assert [result.loaded for result in results] == [1, 1, 1]
    assert await at.rows() == [row(1)] * (1 if at.mode == "upsert" else 3)  # one row per key, whoever loads it


@pytest.mark.parametrize("where", [place for place in ADDING if "?table" in place[0]])
async def test_a_row_that_was_refused_can_be_loaded_by_the_next_replay(at):
    await at.make_table("CREATE TABLE scores (id integer PRIMARY KEY, text text NOT NULL, CHECK (id < 1000))")
    wrong = replace(replayed(1, run="run_1"), rows=[Row("r1", row(1)), Row("r2", {"id": 2000, "text": "x"})])
    [result] = await at.load(wrong)
    assert (result.loaded, [failed.record_id for failed in result.failed]) == (1, ["r2"])
    [mended] = await at.load(replayed(1, 2, run="run_2"))
    assert mended.loaded == 2
    assert await at.rows() == [row(1), row(2)]


@pytest.mark.parametrize("where", [place for place in ADDING if "?table" not in place[0]])
async def test_a_part_that_was_promised_and_never_written_holds_nothing_up(at):
    folder = at.folder / (at.location + ".loom")
    folder.mkdir(parents=True)
    [name] = replayed(1, run="run_1").threads
    (folder / "run_0.threads").write_text(f"{name} run_1 0-0-0-run_1-0.part\nhalf-writ")
    await at.load(replayed(1, run="run_2"))
    await at.finalize("run_2")
    assert await at.rows() == [row(1)]
