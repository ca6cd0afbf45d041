"""A database of an earlier release is brought to the newest schema, on SQLite and Postgres."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, MetaData, inspect, select

from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.accounting import running_totals
from loom_coordinator.accounting.batch import Batch
from loom_coordinator.db import run_totals
from loom_coordinator.db.run_totals import RunTotals
from loom_coordinator.db.tables import metadata
from loom_coordinator.db.unit_of_work import begin
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from support.run_rows import BEGINNING, NOW, run_columns

RUN = "run_1"
BATCHES = [
    Batch(
        RUN, str(position), partition=0, slice=0, position=position, stage=stage, tally=tally, kept=tally.kept,
        unread=0,        seconds={"extract": 0.5, "transform": 0.25}, latency={3: 4}, waited={1: 2},
    )
    for position, (stage, tally) in enumerate(
        [
            (Stage.LOAD, Tally(extracted=5, transformed=5, passed=4, rejected=1, loaded=4)),
            (Stage.TRANSFORM, Tally(extracted=5, transformed=5)),
        ]
    )
]  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path}/loom.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def engine(url):
    engine = open_engine(url)
    yield engine
    await engine.dispose()


def enter(connection: Connection) -> None:
    """A run with batches, as the release before the totals had them."""
    earlier = MetaData()
    earlier.reflect(connection)
    tables = earlier.tables

    def insert(table: str, **values: object) -> None:
        known = {name: value for name, value in values.items() if name in tables[table].c}
        connection.execute(tables[table].insert().values(**known))

    insert("pipelines", **BEGINNING, created_at=NOW, updated_at=NOW)
    insert("pipeline_runs", **run_columns())
    insert("partitions", run_id=RUN, partition=0, next_slice=2, sealed=True)
    for number in range(2):
        insert("slices", run_id=RUN, partition=0, slice=number, max_batches=20, state="extracted", issued_at=NOW)
    insert("inbox", message_id="a fact", run_id=RUN, received_at=NOW)
    insert("inbox", message_id="a request", run_id="", received_at=NOW)
    for batch in BATCHES:
        insert("batches", **batch.row(NOW))


async def test_the_totals_of_runs_that_there_were_are_added_up(engine):
    await upgrade(engine, "0013")
    async with engine.begin() as connection:
        await connection.run_sync(enter)
    await upgrade(engine)

    async with begin(engine, NOW, None) as unit:
        totals = (await run_totals.read(unit, [RUN]))[RUN]
        connection = unit.connection
        tables = metadata.tables
        [released] = (await connection.execute(select(tables["partitions"].c.released))).scalars()
        known = (await connection.execute(select(tables["inbox"].c.message_id))).scalars().all()
    counted = running_totals.changed(RunTotals(), [(None, batch) for batch in BATCHES], NOW)
    assert totals.tally == counted.tally
    assert (totals.underway, totals.done, totals.ended) == (1, 1, 5)
    assert (totals.seconds, totals.latency, totals.waited) == (counted.seconds, counted.latency, counted.waited)
    assert totals.heard == counted.heard
    assert (released, known) == (40, ["a request"])


async def test_the_newest_schema_has_the_tables_of_the_coordinator(engine):
    await upgrade(engine)
    async with engine.connect() as connection:
        there = await connection.run_sync(
            lambda sync: {
                name: {column["name"] for column in inspect(sync).get_columns(name)} for name in metadata.tables
            }
        )
    assert there == {name: {column.name for column in table.columns} for name, table in metadata.tables.items()}
