"""Tests which type a column of each SQL system becomes that does not take its values: never one that takes less."""

import pytest

from loom_connectors.duckdb.widening import wider as duckdb
from loom_connectors.mssql.widening import wider as mssql
from loom_connectors.mysql.widening import wider as mysql
from loom_connectors.postgres.widening import wider as postgres
from loom_connectors.snowflake.widening import wider as snowflake
from loom_connectors.sql.needs import Needs
from loom_connectors.sqlite.widening import wider as sqlite

BIG = 2**63


@pytest.mark.parametrize(
    ("system", "declared", "values", "becomes"),
    [
        (postgres, "smallint", [2**15 - 1], None),
        (postgres, "smallint", [2**15], "bigint"),
        (postgres, "integer", [-(2**31)], None),
        (postgres, "integer", [2**31], "bigint"),
        (postgres, "integer", [1, 2.5], "double precision"),
        (postgres, "integer", ["1", "2.5"], "numeric"),
        (postgres, "integer", [2**53 + 1, 2.5], "numeric"),
        (postgres, "bigint", [BIG - 1], None),
        (postgres, "bigint", [BIG], "numeric"),
        (postgres, "bigint", [2.5], "numeric"),
        (postgres, "bigint", ["seven"], None),
        (postgres, "bigint", [True], None),
        (postgres, "bigint", [7, "seven"], None),
        (postgres, "real", [0.1], None),
        (postgres, "real", [0.123456789012], "double precision"),
        (postgres, "double precision", [2**53 + 1], None),
        (postgres, "numeric(10,2)", ["12345678.25"], None),
        (postgres, "numeric(10,2)", ["12.255"], "numeric"),
        (postgres, "numeric(10,2)", ["123456789"], "numeric"),
        (postgres, "numeric", ["0.1e-300"], None),
        (postgres, "character varying(3)", ["äöü"], None),
        (postgres, "character varying(3)", ["äöüß"], "text"),
        (postgres, "character(3)", ["long"], None),
        (postgres, "date", ["2024-02-29T12:00:00"], None),
        (duckdb, "TINYINT", [127], None),
        (duckdb, "TINYINT", [128], "BIGINT"),
        (duckdb, "UBIGINT", [2**64 - 1], None),
        (duckdb, "UBIGINT", [-1], "BIGNUM"),
        (duckdb, "BIGINT", [BIG], "BIGNUM"),
        (duckdb, "BIGINT", [2.5], None),
        (duckdb, "INTEGER", [2.5], "DOUBLE"),
        (duckdb, "FLOAT", [0.123456789012], "DOUBLE"),
        (duckdb, "DECIMAL(10,2)", ["1.234", "123456789"], "DECIMAL(12,3)"),
        (duckdb, "DECIMAL(10,2)", ["1" * 39], None),
        (duckdb, "VARCHAR", ["x" * 9999], None),
        (sqlite, "INTEGER", [BIG - 1, 2.5, "x"], None),
        (sqlite, "bigint", [BIG], "TEXT"),
        (sqlite, "REAL", [BIG], None),
        (mssql, "smallint", [40_000], "bigint"),
        (mssql, "bigint", [2**63], "decimal(38,0)"),
        (mssql, "int", [1.5], "float"),
        (mssql, "decimal(5,2)", ["1.234"], "decimal(6,3)"),
        (mssql, "decimal(38,0)", ["0.5"], None),
        (mssql, "nvarchar(3)", ["long"], "nvarchar(max)"),
        (snowflake, "NUMBER(5,2)", [123456], "NUMBER(8,2)"),
        (snowflake, "NUMBER(5,2)", ["1.234"], None),
        (snowflake, "NUMBER(38,0)", [10**38], None),
        (snowflake, "VARCHAR(3)", ["long"], "VARCHAR(16777216)"),
        (snowflake, "FLOAT", [2**53 + 1], None),
        (mysql, "tinyint(1)", [5], None),
        (mysql, "int(11)", [2**31], "bigint"),
        (mysql, "int(10) unsigned", [-1], "bigint"),
        (mysql, "bigint(20)", [BIG], "decimal(65,0)"),
        (mysql, "bigint(20) unsigned", [BIG], None),
        (mysql, "bigint(20) unsigned", [-1], "decimal(65,0)"),
        (mysql, "bigint(20)", [2.5], None),
        (mysql, "int(11)", [2.5], "double"),
        (mysql, "bigint(20)", [10**65], None),
        (mysql, "decimal(10,2)", ["1.234"], "decimal(11,3)"),
        (mysql, "float", [0.123456789012], None),
        (mysql, "varchar(3)", ["äöüß"], "longtext"),
        (mysql, "text", ["x" * 70_000], "longtext"),
        (mysql, "text", ["short"], None),
        (mysql, "longtext", ["x" * 70_000], None),
        (mysql, "json", [{}], None),
    ],
)  # fmt: skip
def test_a_column_becomes_the_next_type_that_holds_both(system, declared, values, becomes):
    assert system(declared, Needs.of(values)) == becomes


def test_columns_without_values_need_nothing():
    assert Needs.of([None, None]) is None
