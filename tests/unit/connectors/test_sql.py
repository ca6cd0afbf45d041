"""Parameters are bound; names are quoted."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager

import asyncpg
import duckdb
import pymysql
import pytest

from loom_common.errors import ConfigurationError, Conflict, DestinationError, SourceError, Timeout
from loom_connectors.duckdb import file as duckdb_file
from loom_connectors.mysql import server as mysql
from loom_connectors.postgres import server as postgres
from loom_connectors.postgres.dialect import PostgresDialect
from loom_connectors.sql.parameters import Timeouts, bound, quoted

PARAMS = {"since": dt.date(2024, 1, 1), "name": "x' OR 1=1 --"}


def dollars(query: str):
    return bound(query, PARAMS, lambda number: f"${number}")


@pytest.mark.parametrize(
    ("query", "sql", "values"),
    [
        ("SELECT 1", "SELECT 1", []),
        ("SELECT 1 ; \n", "SELECT 1", []),
        ("a > {{ since }}", "a > $1", [PARAMS["since"]]),
        ("a > {{params.since}}", "a > $1", [PARAMS["since"]]),
        ("{{ name }} {{ since }} {{ name }}", "$1 $2 $1", [PARAMS["name"], PARAMS["since"]]),
        ("'it''s' {{ name }}", "'it''s' $1", [PARAMS["name"]]),
        ("a -- not {{ this }}\n{{ name }}", "a -- not {{ this }}\n$1", [PARAMS["name"]]),
        ("/* nor {{ this }} */ {{ name }}", "/* nor {{ this }} */ $1", [PARAMS["name"]]),
        ("'{1,2}'::int[]", "'{1,2}'::int[]", []),
    ],
)
def test_parameters_become_placeholders(query, sql, values):
    assert dollars(query) == (sql, values)


def test_unnumbered_placeholders_take_their_value_each_time():
    assert bound("{{ name }} {{ name }}", PARAMS, lambda _: "?") == ("? ?", [PARAMS["name"]] * 2)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("a > {{ sinse }}", "Did you mean 'since'"),
        ("a > '{{ since }}'", "without quotes"),
        ('SELECT "{{ name }}"', "without quotes"),
        ("a > {{ since | upper }}", "expected {{ name }}"),
        ("{% if since %}a{% endif %}", "expected {{ name }}"),
        ("{{ input.id }}", "expected {{ name }}"),
    ],
)
def test_anything_else_in_braces_is_a_mistake(query, words):
    with pytest.raises(ConfigurationError) as raised:
        dollars(query)
    assert words in str(raised.value)


def test_a_name_is_nothing_but_a_name():
    assert quoted('a"; DROP TABLE b; --') == '"a""; DROP TABLE b; --"'


@pytest.mark.parametrize(
    ("trouble", "key"),
    [(SourceError, "`extract.options.timeouts.query`"), (DestinationError, "`load.options.timeouts`: `load`")],
)
def test_a_limit_of_time_that_was_passed_is_named_as_the_pipeline_file_has_it(trouble, key):
    late = [
        postgres.meaning(asyncpg.QueryCanceledError("canceling statement due to statement timeout"), "p", trouble),
        mysql.meaning(pymysql.err.OperationalError(1969, "max_statement_time exceeded"), "m", trouble),
        duckdb_file.meaning(duckdb.InterruptException("interrupted"), "d", trouble),
    ]
    for error in late:
        assert isinstance(error, Timeout), error
        assert key in str(error)


class Lending:
    """Lends no connection at all: the work of these tests asks for nothing."""

    @asynccontextmanager
    async def connection(self):
        yield None


@pytest.mark.parametrize(("conflicts", "succeeds"), [(0, True), (4, True), (5, False)])
async def test_a_transaction_that_another_one_is_in_the_way_of_is_done_again_at_once(conflicts, succeeds):
    deadlock = postgres.meaning(asyncpg.DeadlockDetectedError("deadlock detected"), "p", DestinationError)
    raised = [deadlock] * conflicts

    async def work(_session) -> str:
        if raised:
            raise raised.pop()
        return "done"

    running = PostgresDialect(Lending(), Timeouts()).run(work, 5)
    if succeeds:
        assert await running == "done"
    else:
        with pytest.raises(Conflict, match="deadlock detected"):
            await running
