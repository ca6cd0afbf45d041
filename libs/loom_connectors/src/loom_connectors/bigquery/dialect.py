"""Implements BigQuery as a `TableDialect`: what a transaction changes is collected, and sent as one script.

BigQuery checks no primary key. Two transactions may insert into one table at the same time, but of two that update it
one is ended. So a transaction updates a row of the load ledger first, and it ends itself where it finds its batches
entered, because what was read before it began may have changed since. Then all is done again. Tables are made and
altered before the script, and removed or renamed after it: within a transaction BigQuery does none of this."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

from loom_common.errors import DestinationError, LoomError
from loom_connectors.bigquery import tables
from loom_connectors.bigquery.address import NAMES
from loom_connectors.bigquery.errors import ENTERED, BigQueryError, meaning
from loom_connectors.bigquery.server import Server
from loom_connectors.bigquery.statements import Statement, listed, marker, name_list, quoted, transaction
from loom_connectors.bigquery.writing import NOT_NULL, texts_of, writer
from loom_connectors.ports.destination import Row
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Rights, Target, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.warehouse import statements
from loom_connectors.sql.warehouse.dialect import WarehouseDialect, WarehouseSession
from loom_connectors.sql.warehouse.statements import ORDER, json_lists, merge_sql
from loom_connectors.values import UnfitValue, json_text

Result = TypeVar("Result")
_SCRIPT = 2 * 2**20
"""The most characters of rows in one script, and in one statement. BigQuery takes 10 MB in a request."""
_EXPIRES = "OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))"
"""Lets BigQuery remove a table of staged rows whose process was killed."""
_NO_LOCK = "loom: the row that is locked is missing"


class BigQuerySession(WarehouseSession):
    """Collects what a transaction changes, and sends it at its end. Each statement may take `seconds`."""

    quoted = staticmethod(quoted)

    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self._script: list[Statement] | None = None
        """Holds what the transaction changes; None where there is none."""
        self._after: list[str] = []
        """Holds what removes or renames tables once the transaction has ended well."""
        self._stages: list[TableName] = []
        self._size = 0

    @asynccontextmanager
    async def transaction(self, statement_seconds: float | None = None) -> AsyncIterator[None]:  # `run` limits them all
        self._script, self._after, self._size = [], [], 0
        try:
            yield
            script, self._script = self._script, None
            if script:
                self._sent(transaction(script))
            for sql in self._after:
                self._run(sql)
        finally:
            self._script = None
            for stage in self._stages:
                self._run(f"DROP TABLE IF EXISTS {stage.quoted_by(quoted)}")
            self._stages = []

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        before = len(self._script or ())
        try:
            yield
        except UnfitValue:
            if self._script is not None:
                del self._script[before:]
            raise

    async def execute(self, sql: str, *values: object) -> int:
        """Return 0 always: what a script has changed is known only once it has ended."""
        if sql.startswith("DELETE ") and " WHERE " not in sql:
            sql += " WHERE TRUE"
        if sql.startswith(("DROP ", "ALTER ")) and self._script is not None:
            self._after.append(sql)
        elif self._script is None:
            self._run(sql, values)
        else:
            self._script.append(Statement(sql, values))
        return 0

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        return self._server.run(sql, values, seconds=self._seconds).rows

    async def rights(self, table: TableName, mode: Mode) -> Rights:
        """Raise `BigQueryError` where the dataset is not there, and tell whether the table is."""
        self._server.see_dataset()
        return await super().rights(table, mode)

    async def columns(self, table: TableName) -> dict[str, str]:
        found = self._server.table(table.schema, table.name) or ()
        return {each.name: each.type + (NOT_NULL if each.required else "") for each in found}

    async def create_ledger(self, ledger: TableName) -> None:
        if not await self.columns(ledger):
            self._run(tables.ledger_sql(ledger))

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        self._run(tables.table_sql(table, kinds))

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        for sql in statements.adding(table, kinds, tables.TYPES, quoted):
            self._run(sql)

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        for sql in statements.widening(table, await self.columns(table), needs, tables.wider, quoted):
            self._run(sql)

    async def create_like(self, staging: TableName, table: TableName) -> None:
        if not await self.columns(staging):
            self._run(statements.like_sql(staging, table, quoted))

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        name = ledger.quoted_by(quoted)
        entered = f"SELECT batch_id FROM {name} WHERE run_id = {marker(1)}"
        among = f"{entered} AND batch_id IN (SELECT JSON_VALUE(part) FROM {listed(2)})"
        there = {str(each) for (each,) in await self.fetch(among, run_id, json_text(list(loaded)))}
        new = {each: rows for each, rows in loaded.items() if each not in there}
        if not new:
            return set()
        lock = f"run_id = '' AND batch_id = '{tables.LOCK}'"
        guarded = (
            f"CASE WHEN NOT EXISTS (SELECT 1 FROM {name} WHERE {lock}) THEN ERROR('{_NO_LOCK}') "
            f"WHEN JSON_VALUE(part, '$[0]') IN ({entered}) THEN ERROR('{ENTERED}') ELSE {marker(1)} END"
        )
        await self.execute(f"UPDATE {name} SET loaded = 0 WHERE {lock}")
        await self.execute(
            f"INSERT INTO {name} (run_id, batch_id, loaded, failed, loaded_at) SELECT {guarded}, "
            "JSON_VALUE(part, '$[0]'), CAST(JSON_VALUE(part, '$[1]') AS INT64), '[]', CURRENT_TIMESTAMP() "
            f"FROM {listed(2)}",
            run_id,
            json_text([[each, str(rows)] for each, rows in new.items()]),
        )
        return set(new)

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        columns = columns_of(rows)
        texts = texts_of(rows, columns, target.columns)
        numbered = ([*row, str(number)] for number, row in enumerate(texts))
        parts = list(json_lists(numbered, _SCRIPT))
        size = sum(map(len, parts))
        if self._size + size <= _SCRIPT:
            self._size += size
            for part in parts:
                await self.execute(_write_sql(target, columns, listed(1)), part)
        else:
            await self.execute(_write_sql(target, columns, self._staged(target.table, parts)))

    def _staged(self, table: TableName, parts: Sequence[str]) -> str:
        """Put rows that are too many for a script into a table of their own. Return SQL for that table."""
        stage = table.beside(f"loom_stage_{uuid4().hex}")
        name = stage.quoted_by(quoted)
        self._stages.append(stage)
        self._run(f"CREATE TABLE {name} (part STRING) {_EXPIRES}")
        for part in parts:
            self._run(f"INSERT INTO {name} (part) SELECT part FROM {listed(1)}", (part,))
        return name

    def _sent(self, script: Statement) -> None:
        try:
            self._run(script.sql, script.values)
        except BigQueryError as error:
            if _NO_LOCK not in error.words:
                raise
            raise DestinationError(
                f"The load ledger of {self._server.address.shown} lacks the row that is updated before a batch is "
                "entered, so nothing can be loaded beside it. Loom makes it with the table. Was it deleted? Enter it "
                f"again: INSERT INTO loom_load_ledger VALUES ('', '{tables.LOCK}', 0, '[]', CURRENT_TIMESTAMP())."
            ) from error

    def _run(self, sql: str, values: Sequence[object] = ()) -> None:
        self._server.run(sql, values, seconds=self._seconds)


def _write_sql(target: Target, columns: Sequence[str], parts: str) -> str:
    """Return the statement that inserts rows, or updates those whose key is there. Of rows with one key, the last
    counts."""
    casts = [writer(target.columns[name]).cast for name in columns]
    texts = [f"JSON_VALUE(part, '$[{at}]')" for at in range(len(columns) + 1)]
    values = [f"{cast.format(text)} AS {quoted(name)}" for name, cast, text in zip(columns, casts, texts, strict=False)]
    table, names = target.table.quoted_by(quoted), name_list(columns)
    if not target.key:
        return f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {parts}"
    values.append(f"CAST({texts[-1]} AS INT64) AS {ORDER}")
    rank = f"ROW_NUMBER() OVER (PARTITION BY {name_list(target.key)} ORDER BY {ORDER} DESC) AS loom_rank"
    rows = f"SELECT *, {rank} FROM (SELECT {', '.join(values)} FROM {parts})"
    return merge_sql(target, columns, f"SELECT {names} FROM ({rows}) WHERE loom_rank = 1", quoted)


class BigQueryDialect(WarehouseDialect[Server]):
    """Represents one dataset that is written."""

    names = NAMES
    types = tables.TYPES
    errors: tuple[type[Exception], ...] = (BigQueryError, UnfitValue, UnicodeEncodeError)

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return marker(number)

    def is_one_of(self, number: int) -> str:
        return f"IN (SELECT JSON_VALUE(part) FROM {listed(number)})"

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} ADD PRIMARY KEY ({name_list(key)}) NOT ENFORCED"

    def renamed(self, table: TableName, name: str) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} RENAME TO {quoted(name)}"

    def _visit(self, work: Work[Result], seconds: float) -> Result:
        try:
            return finished(work(BigQuerySession(self._server, seconds)))
        except BigQueryError as error:
            raise meaning(error, self._server.address, self._server.trouble_is) from error

    def _meaning(self, error: Exception) -> LoomError | None:
        return meaning(error, self._server.address, DestinationError) if isinstance(error, BigQueryError) else None

    def _is_of_a_constraint(self, error: Exception) -> bool:
        return str(error).endswith("may not be NULL.")

    def _sentence(self, error: Exception) -> str:
        return str(error)
