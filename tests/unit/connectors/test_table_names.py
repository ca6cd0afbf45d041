"""Tests that names which a database cannot tell apart, or columns that only it writes, are refused before the run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from asyncpg import CharacterNotInRepertoireError

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.mysql.address import NAMES as MYSQL
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.postgres.rows import failed_row
from loom_connectors.postgres.server import NAMES as POSTGRES
from loom_connectors.registry import open_destination
from loom_connectors.sql.table_name import TableName

TABLE = TableName.of("scores")


@pytest.mark.parametrize(
    ("rules", "names", "there", "words"),
    [
        (POSTGRES, ["Mood", "mood"], [], None),
        (
            MYSQL,
            ["Mood", "mood"],
            [],
            "'mood' cannot be a column of scores beside 'Mood': MySQL takes names",
        ),
        (MYSQL, ["mood"], ["id", "MOOD"], "'mood' cannot be a column of scores beside 'MOOD'"),
        (MYSQL, ["m" * 64], [], None),
        (MYSQL, ["é" * 64], [], None),
        (MYSQL, ["m" * 65], [], "it has 65 characters, and a name in MySQL has at most 64"),
        (POSTGRES, ["é" * 32], [], "it has 64 bytes, and a name in Postgres has at most 63"),
    ],
)
def test_a_name_that_a_system_cannot_have_beside_the_others_is_refused(rules, names, there, words):
    if words is None:
        rules.check_columns(names, TABLE, there)
        return
    with pytest.raises(DestinationError, match=words):
        rules.check_columns(names, TABLE, there)


def test_the_name_of_a_mysql_table_that_is_too_long_is_refused_with_the_address(tmp_path):
    with pytest.raises(ConfigurationError, match="has 65 characters; a name in MySQL has at most 64"):
        opened(tmp_path, f"mysql://u@localhost/d?table={'t' * 65}")


SCHEMA = {"properties": {"id": {"type": "string"}, "n": {"type": "string"}}}


def opened(folder: Path, location: str, **output):
    context = ConnectorContext(folder, Credentials({}), output_schema=output or SCHEMA)
    return open_destination(LoadConfig(destination=location), context)


def batch(**values: object) -> LoadBatch:
    return LoadBatch("run_1", "b", 0, 0, 0, [Row("r1", values)])


async def test_a_column_that_only_the_database_writes_is_refused_before_and_during_the_run(tmp_path):
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        database.execute("CREATE TABLE scores (id TEXT, n TEXT GENERATED ALWAYS AS (id || 'x') STORED)")
    destination = opened(tmp_path, "sqlite:///out.db?table=scores")
    with pytest.raises(DestinationError, match=r"'n' of scores cannot be written: the database fills it in \(a gener"):
        await destination.check()
    [fit] = [fit for fit in await destination.fits() if fit.name == "n"]
    assert (fit.fits, fit.done) == (False, "a generated column: a run is refused")
    with pytest.raises(DestinationError, match="'n' of scores cannot be written"):
        await destination.load(batch(id="1", n="2"))
    assert (await destination.load(batch(id="1"))).loaded == 1
    await destination.close()
    other = opened(tmp_path, "sqlite:///out.db?table=scores", properties={"id": {"type": "string"}})
    assert {fit.name: (fit.there, fit.done) for fit in await other.fits()} == {
        "id": ("TEXT", "as it is"), "n": ("a generated column", "not written")
    }  # fmt: skip
    await other.close()


async def test_fields_that_differ_in_case_only_are_refused_where_the_system_takes_them_for_one(tmp_path):
    names = {name: {"type": "string"} for name in ("Mood", "mood")}
    for location in ("sqlite:///out.db?table=scores", "duckdb:///out.duckdb?table=scores"):
        destination = opened(tmp_path, location, properties=names)
        with pytest.raises(DestinationError, match="'mood' cannot be a column of scores beside 'Mood'"):
            await destination.check()
        with pytest.raises(DestinationError, match="'mood' cannot be a column of scores beside 'Mood'"):
            await destination.load(batch(Mood="a", mood="b"))
        await destination.close()


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ({"a": "x", "b": "y\0z"}, "b"),
        ({"a": {"k": ["\0"]}, "b": "y"}, "a"),
        ({"a": {"\0": 1}, "b": "y"}, "a"),
    ],
)
def test_the_reason_of_a_row_that_postgres_refuses_for_a_nul_names_the_column(values, column):
    error = CharacterNotInRepertoireError('invalid byte sequence for encoding "UTF8": 0x00')
    assert failed_row(Row("r1", values), error).reason.startswith(f"column {column}: invalid byte sequence")
