"""Tests what every table must do with a row that it refuses, or whose key is there."""

from __future__ import annotations

from loom_connectors.ports.destination import LoadResult
from support.destinations import IN_TABLES, MSSQL, SNOWFLAKE, batch, places, row


@places(*IN_TABLES, (SNOWFLAKE, "append"), (MSSQL, "append"))
async def test_a_bad_row_fails_alone_and_the_same_way_again(at):
    await at.make_table()
    rows = [row(1), {"id": 2, "text": None}, row(3), row(1000), row(4)]
    for _ in range(2):
        (result,) = await at.load(batch(0, *rows))
        assert result.loaded == 3
        assert [(each.record_id, each.code) for each in result.failed] == [
            ("r0.1", "constraint"),
            ("r0.3", at.database.system.too_great),
        ]
        assert "text" in result.failed[0].reason.lower()
    await at.finalize()
    assert await at.rows() == [row(1), row(3), row(4)]


@places(*[each for each in IN_TABLES if each[1] != "upsert"])
async def test_of_two_rows_with_one_key_the_first_is_kept(at):
    await at.make_table()
    (result,) = await at.load(batch(0, row(1), {"id": 1, "text": "again"}, row(2)))
    await at.finalize()
    assert [each.record_id for each in result.failed] == ["r0.1"]
    assert await at.rows() == [row(1), row(2)]


@places(*[each for each in IN_TABLES if each[1] == "upsert"], (SNOWFLAKE, "upsert"), (MSSQL, "upsert"))
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
