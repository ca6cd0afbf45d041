"""Tests the limits of 32-bit floating-point numbers, and of 16-bit ones, in every destination that has columns of them:
what such a column keeps arrives, and what it would change is kept back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.load import LoadConfig
from loom_connectors.mssql.writing import writer
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination
from support.load_batches import RUN, batch
from support.sql_systems import Statement, in_duckdb, in_mssql, in_mysql, in_postgres

GREATEST = 2.0**128 - 2.0**104
LEAST_NORMAL = 2.0**-126
LEAST = 2.0**-149
KEPT: dict[float | str, float] = {
    GREATEST: GREATEST,
    3.4028235e38: GREATEST,
    "3.4028235e38": GREATEST,
    3.40282347e38: GREATEST,
    -3.4028235e38: -GREATEST,
    3.4028233e38: 2.0**128 - 2.0**105,
    LEAST_NORMAL: LEAST_NORMAL,
    1.17549435e-38: LEAST_NORMAL,
    -1.1754944e-38: -LEAST_NORMAL,
    0.1: 0.10000000149011612,
    0.10000000149011612: 0.10000000149011612,
    16777216: 2.0**24,
    2**64: 2.0**64,
    0: 0.0,
}
"""Numbers of records, and those that 32 bits hold of them."""
SUBNORMAL: dict[float | str, float] = {
    LEAST: LEAST,
    1e-45: LEAST,
    "-1e-45": -LEAST,
    1.1754942e-38: LEAST_NORMAL - LEAST,
}
"""Numbers that lie so near to 0 that they have fewer digits."""
UNFIT = {
    3.4028236e38: "too large",
    "-3.4028236e38": "too large",
    1e39: "too large",
    "1e400": "too large",
    10**40: "too large",
    2e-45: "would become",
    1e-46: "would become 0",
    "1e-400": "would become",
    16777217: "would become 16777216",
    0.123456789: "would become 0.12345679",
    "0.10000000149011613": "would become",
    f"1e{10**20}": "exponent",
    f"1e-{10**20}": "exponent",
}
"""Numbers that 32 bits would change, and the words that say so."""


@dataclass(frozen=True)
class System:
    """Represents a SQL system by the type of its column and how a test sees what lies in it."""

    server: str | None
    location: str
    kind: str
    as_double: str
    run: Statement
    keeps_subnormal: bool = True


SYSTEMS = {
    "MariaDB": System("mariadb_url", "${DB}?table=t", "float", "CAST(r AS double)", in_mysql),
    "Postgres": System("postgres_url", "${DB}?table=t", "real", "r::float8", in_postgres),
    "SQL Server": System("mssql_url", "${DB}&table=t", "real", "CAST(r AS float)", in_mssql, keeps_subnormal=False),
    "DuckDB": System(None, "duckdb:///x.duckdb?table=t", "FLOAT", "r::DOUBLE", in_duckdb),
}


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, system: System) -> str:
    """Provide the database of the test; the path of a file's."""
    return request.getfixturevalue(system.server) if system.server else str(tmp_path / "x.duckdb")


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
async def test_a_column_of_a_table_gets_what_32_bits_hold_and_nothing_else(url, tmp_path, system):
    await system.run(url, f"CREATE TABLE t (id int PRIMARY KEY, r {system.kind})")
    kept = KEPT | SUBNORMAL if system.keeps_subnormal else KEPT
    unfit = UNFIT if system.keeps_subnormal else dict.fromkeys(SUBNORMAL, "would make 0 of") | UNFIT
    failed = await loaded(tmp_path, {"destination": system.location}, url, kept, unfit)
    found = await system.run(url, f"SELECT id, {system.as_double} FROM t ORDER BY id")
    assert [*map(repr, (value for _, value in found))] == [*map(repr, kept.values())]
    see_why(failed, unfit, "column r: ")


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
async def test_a_column_of_a_file_gets_what_32_bits_hold_and_nothing_else(tmp_path, name):
    kept = KEPT | SUBNORMAL
    load = {"destination": name, "options": {"types": {"r": "float32"}}}
    failed = await loaded(tmp_path, load, "", kept, UNFIT)
    column = await asyncio.to_thread(column_of, tmp_path / name)
    assert column.type == pa.float32()
    assert [*map(repr, column.to_pylist())] == [*map(repr, kept.values())]
    see_why(failed, UNFIT, "")


async def test_a_column_of_16_bits_in_an_existing_file_gets_what_it_gives_back_and_nothing_else(tmp_path):
    there = pa.table({"id": pa.array([-1]), "r": pa.array([None], pa.float16())})
    await asyncio.to_thread(pq.write_table, there, tmp_path / "x.parquet")
    kept = {65504: 65504.0, "-65504": -65504.0, 2.0**-24: 2.0**-24, 0.0999755859375: 0.0999755859375, 2048: 2048.0}
    unfit = {65520: "too large", 0.1: "would become 0.0999755859375", 2049: "would become 2048.0", 1e-9: "become 0.0"}
    failed = await loaded(tmp_path, {"destination": "x.parquet", "mode": "append"}, "", kept, unfit)
    column = await asyncio.to_thread(column_of, tmp_path / "x.parquet")
    assert (column.type, column.to_pylist()) == (pa.float16(), [None, *kept.values()])
    see_why(failed, unfit, "Column r: ")


async def test_a_column_of_mariadb_that_rounds_to_some_digits_gets_no_more_of_them(tmp_path, mariadb_url):
    await in_mysql(mariadb_url, "CREATE TABLE t (id int PRIMARY KEY, r float(10,2), d double(10,2))")
    rows = [{"r": 0.13}, {"d": 0.13}, {"r": 0.125}, {"d": "0.125"}, {"r": 9.99e7}]
    result = await load_rows(tmp_path, {"destination": "${DB}?table=t"}, mariadb_url, rows)
    assert [(each.record_id, each.code) for each in result.failed] == [("r2", "type"), ("r3", "type")]
    assert all("more digits after the point than the column keeps (2)" in each.reason for each in result.failed)
    found = await in_mysql(mariadb_url, "SELECT CAST(r AS decimal(20,8)), d FROM t ORDER BY id")
    assert [str(one or two) for one, two in found] == ["0.13000000", "0.13", "99900000.00000000"]


async def test_sql_server_gets_no_64_bit_number_that_it_would_make_0_of(tmp_path, mssql_url):
    await in_mssql(mssql_url, "CREATE TABLE t (id int PRIMARY KEY, f float)")
    numbers = [2.0**-1022, -(2.0**-1022), 0.0, 5e-324, "-1e-310"]
    result = await load_rows(tmp_path, {"destination": "${DB}&table=t"}, mssql_url, [{"f": each} for each in numbers])
    assert [each.record_id for each in result.failed] == ["r3", "r4"]
    assert "column f: SQL Server would make 0 of 5e-324, which is nearer to 0 than 2.2" in result.failed[0].reason
    assert [value for (value,) in await in_mssql(mssql_url, "SELECT f FROM t ORDER BY id")] == numbers[:3]


def test_sql_server_is_told_the_greatest_number_in_a_text_that_is_not_beyond_it():
    """The emulator takes both texts, as Postgres does, so this looks at the text itself."""
    write = writer("real").write
    texts = [write(3.4028235e38), write("-3.4028235e38"), write(1.17549435e-38)]
    assert texts == [repr(GREATEST), repr(-GREATEST), repr(LEAST_NORMAL)]


async def loaded(folder: Path, load: dict[str, Any], url: str, kept: Any, unfit: Any) -> Any:
    result = await load_rows(folder, load, url, [{"r": each} for each in (*kept, *unfit)])
    assert [each.record_id for each in result.failed] == [f"r{at}" for at in range(len(kept), len(kept) + len(unfit))]
    return result.failed


async def load_rows(folder: Path, load: dict[str, Any], url: str, rows: list[dict[str, Any]]) -> Any:
    context = ConnectorContext(folder, Credentials({"env": EnvProvider({"DB": url})}))
    destination = open_destination(LoadConfig(**load), context)
    try:
        result = await destination.load(batch(*({"id": at} | row for at, row in enumerate(rows))))
        await destination.finalize(RUN, complete=True)
        return result
    finally:
        await destination.close()


def column_of(path: Path) -> Any:
    if path.suffix == ".parquet":
        return pq.read_table(path)["r"]
    with pa.memory_map(str(path)) as opened:
        return pa.ipc.open_file(opened).read_all()["r"]


def see_why(failed: Any, unfit: dict[Any, str], where: str) -> None:
    for each, (value, words) in zip(failed, unfit.items(), strict=True):
        assert (each.code, where in each.reason, words in each.reason) == ("type", True, True), (value, each)
