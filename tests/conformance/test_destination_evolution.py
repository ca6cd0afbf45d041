"""Tests how every table evolves with the schema of the rows: columns are added and widened, and none is narrowed or
removed."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.errors import DestinationError
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from support.destinations import IN_TABLES, MSSQL, SNOWFLAKE, batch, places, row

BIG = 2**63
NARROW = "CREATE TABLE scores (id integer PRIMARY KEY, text varchar(20), n integer)"
ADDED = [each for each in IN_TABLES if each[1] == "append"]


async def columns(at, name="n"):
    """Return the values of a column as texts, by the ids of the rows."""
    return [value for (value,) in await at.database.run(f"SELECT {name} FROM scores ORDER BY id")]


@places(*IN_TABLES, (SNOWFLAKE, "append"), (MSSQL, "append"))
async def test_columns_that_a_table_lacks_are_added_and_the_rows_before_have_null(at):
    at.schema = "auto"
    await at.load(batch(0, row(1)), batch(1, {**row(2), "n": 5}, row(3)), batch(2, {**row(4), "n": None, "ok": True}))
    await at.finalize()
    assert [row(n) for n in (1, 2, 3, 4)] == await at.rows()
    assert [None if each is None else int(each) for each in await columns(at)] == [None, 5, None, None]
    assert [each in (True, 1) for each in await columns(at, "ok")] == [False, False, False, True]


@places(*IN_TABLES)
async def test_a_column_of_integers_is_widened_and_keeps_what_it_holds(at):
    at.schema = "auto"
    results = await at.load(batch(0, {**row(1), "n": 7}), batch(1, {**row(2), "n": BIG}), batch(2, {**row(3), "n": -8}))
    await at.finalize()
    assert [each.loaded for each in results] == [1, 1, 1]
    assert [int(each) for each in await columns(at)] == [7, BIG, -8]


@places(*ADDED, (SNOWFLAKE, "append"), (MSSQL, "append"))
async def test_a_table_of_somebody_else_is_widened(at):
    await at.make_table(NARROW)
    at.schema = "auto"
    long, many = {"id": 1, "text": "x" * 21, "n": 2**40}, {"id": 2, "text": "y", "n": 1}
    (result,) = await at.load(batch(0, long, many))
    assert (result.loaded, await at.rows()) == (2, [{"id": 1, "text": "x" * 21}, {"id": 2, "text": "y"}])
    assert [int(each) for each in await columns(at)] == [2**40, 1]


@pytest.mark.parametrize("schema", [None, "warn", "freeze", {"columns": "freeze", "types": "discard_row"}])
@places(*ADDED)
async def test_a_table_stays_as_it_is_where_the_contract_says_so(at, schema):
    await at.make_table(NARROW)
    at.schema = schema
    (result,) = await at.load(batch(0, row(1), {**row(2), "extra": 1}))
    assert [each.code for each in result.failed] == ["missing_column"]
    with pytest.raises(DestinationError, match="no column 'extra'"):
        await at.load(batch(1, {**row(3), "extra": 1}))


@places(*ADDED)
async def test_a_value_of_another_kind_is_refused_and_nothing_is_narrowed(at):
    at.schema = "auto"
    results = await at.load(batch(0, {**row(1), "n": 7}), batch(1, {**row(2), "n": "seven"}))
    takes_texts = at.location.startswith("sqlite")  # in every column, as they are
    assert [each.code for each in results[1].failed] == ([] if takes_texts else ["type"])
    assert str((await columns(at))[0]) == "7"


@places(*ADDED)
async def test_several_loaders_evolve_a_table_at_once(at):
    at.schema = "auto"
    await at.load(batch(0, row(1)))
    async with at.opened() as one, at.opened() as other:
        values = [5, BIG, 6, None, BIG * 3, 1]
        loads = [
            each.load(batch(number, {**row(number + 1), "n": value}))
            for number, (each, value) in enumerate(zip([one, other] * 3, values, strict=True), 1)
        ]
        results = await asyncio.gather(*loads)
    assert [each.loaded for each in results] == [1] * 6
    assert [None if each is None else int(each) for each in (await columns(at))[1:]] == values


@places(*ADDED)
async def test_what_was_altered_before_a_process_died_changes_nothing(at):
    at.schema = "auto"
    await at.load(batch(0, {**row(1), "n": 1}))

    async def dying(session):
        async with session.transaction():
            await session.add_columns(destination._table.name, {"extra": Kind.TEXT})
            await session.widen(destination._table.name, {"n": Needs.of([BIG])})
            raise LookupError

    async with at.opened() as destination:
        with pytest.raises(LookupError):
            await destination._dialect.run(dying, 20)
    for _ in range(2):
        (result,) = await at.load(batch(1, {**row(2), "n": BIG, "extra": "x"}))
        assert result.loaded == 1
    assert [int(each) for each in await columns(at)] == [1, BIG]


@places(*ADDED)
async def test_a_destination_that_may_evolve_is_ready_without_the_declared_columns(at):
    await at.make_table("CREATE TABLE scores (id integer PRIMARY KEY)")
    async with at.opened() as destination:
        with pytest.raises(DestinationError, match="no column 'text'"):
            await destination.check()
    at.schema = {"columns": "evolve"}
    async with at.opened() as destination:
        await destination.check()
    await at.load(batch(0, row(1)))
    assert await at.rows() == [row(1)]
