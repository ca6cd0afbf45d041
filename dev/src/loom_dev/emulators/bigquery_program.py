"""Serves bqemulator as a program of its own, in an environment of its own, and does what bqemulator leaves out and
BigQuery does: it binds the values of a script, and tells the columns that a table has after it was altered."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any

import sqlglot
from bqemulator.catalog import ddl_sync  # type: ignore[import-not-found]
from bqemulator.cli import main  # type: ignore[import-not-found]  # it needs versions of packages that Loom has not
from bqemulator.jobs import executor  # type: ignore[import-not-found]
from bqemulator.scripting import interpreter  # type: ignore[import-not-found]
from duckdb_extensions import import_extension  # type: ignore[import-not-found]

_given: ContextVar[Any] = ContextVar("given", default=None)
_run = executor._run_query_body
_bind = interpreter.bind_parameters


async def _run_with_values(**arguments: Any) -> Any:
    _given.set(arguments["query_params"])
    made = await _run(**arguments)
    if arguments["bq_sql"].lstrip().upper().startswith("ALTER TABLE") and " RENAME " not in arguments["bq_sql"]:
        _see_altered(arguments["bq_sql"], arguments["project_id"], arguments["ctx"])
    return made


def _see_altered(sql: str, project: str, context: Any) -> None:
    table = sqlglot.parse_one(sql, read="bigquery").find(sqlglot.exp.Table)
    place = ddl_sync._split_target(table, project)
    known = context.catalog.get_table(*place)
    context.catalog.update_table(known.model_copy(update={"schema_": ddl_sync._introspect_schema(*place, context)}))


def _bind_values(sql: str, values: Any) -> Any:
    return _bind(sql, values or _given.get())


executor._run_query_body = _run_with_values
interpreter.bind_parameters = _bind_values

if __name__ == "__main__":
    import_extension("spatial")  # which would be downloaded else
    sys.exit(main())
