"""Tests that rows are inserted in bulk as SQLAlchemy would insert them."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from loom_common.async_engine import create_async_engine
from loom_common.bulk_insert import BulkInsert
from loom_migrations.types import Json, UtcDateTime

SCORES = Table(
    "scores",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(20)),
    Column("score", Float),
    Column("said", Json),
    Column("at", UtcDateTime),
)
NOON = dt.datetime(2026, 3, 4, 12, 0, 0, 5, dt.UTC)
EAST = dt.timezone(dt.timedelta(hours=2))
ROWS = [
    {"at": NOON, "id": 1, "name": "a", "score": 0.5, "said": {"b": [1, "ü"]}},
    {"id": 2, "name": None, "score": None, "said": None, "at": NOON.astimezone(EAST)},
]


def upsert(insert):
    excluded = insert.excluded
    return BulkInsert(
        insert.on_conflict_do_update(
            index_elements=["id"], set_={"name": excluded["name"], "score": excluded["score"]}
        ),
        SCORES.c.keys(),
    )


async def test_rows_are_stored_as_by_sqlalchemy_and_a_row_that_stands_is_changed_as_the_statement_says(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/scores.db")
    async with engine.begin() as connection:
        await connection.run_sync(SCORES.metadata.create_all)
        await connection.execute(SCORES.insert(), ROWS)
        raw = (await connection.run_sync(lambda sync: sync.exec_driver_sql("SELECT * FROM scores ORDER BY id"))).all()
        await connection.execute(SCORES.delete())
        await connection.insert_many(upsert(sqlite.insert(SCORES)), ROWS)
        again = (await connection.run_sync(lambda sync: sync.exec_driver_sql("SELECT * FROM scores ORDER BY id"))).all()
    assert again == raw
    await engine.insert_many(upsert(sqlite.insert(SCORES)), [{**ROWS[0], "name": "b", "said": 3}])
    rows = await engine.fetch(select(SCORES).order_by(SCORES.c.id))
    await engine.dispose()
    assert [tuple(row) for row in rows] == [(1, "b", 0.5, {"b": [1, "ü"]}, NOON), (2, None, None, None, NOON)]


def test_postgres_gets_the_values_in_the_order_and_of_the_types_that_its_statement_names():
    insert, dialect = upsert(postgresql.insert(SCORES)), PGDialect_asyncpg()
    assert "VALUES ($1::INTEGER, $2::VARCHAR, $3::FLOAT, $4::JSONB, $5::TIMESTAMP WITH TIME ZONE)" in insert.sql(
        dialect
    )
    assert [values[:3] for values in insert.values(dialect, ROWS)] == [(1, "a", 0.5), (2, None, None)]
    assert insert.values(dialect, ROWS)[1][3:] == (None, NOON)


def test_a_value_that_rows_share_is_converted_for_each_column_as_it_is_stored_there():
    class Made(dict):
        """Makes values when they are asked for, so that one may get the id of another that is gone."""

        def __getitem__(self, name):
            return {"n": dict.__getitem__(self, "id")} if name == "said" else dict.__getitem__(self, name)

    rows = [Made(id=number, name="a", score=0.5, said=None, at=NOON) for number in range(50)]
    values = upsert(sqlite.insert(SCORES)).values(sqlite.dialect(), rows)
    assert [each[3] for each in values] == [f'{{"n": {number}}}' for number in range(50)]
    assert {each[4] for each in values} == {values[0][4]}


def test_a_statement_with_parameters_besides_the_columns_is_refused():
    table = Table("numbers", MetaData(), Column("n", Integer), Column("m", Integer), Column("made", Integer, default=3))
    with pytest.raises(ValueError, match="are not the columns"):
        BulkInsert(sqlite.insert(table), ["n", "m"]).sql(sqlite.dialect())
