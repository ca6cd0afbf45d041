"""Implements BigQuery as a `TableDialect`: what a transaction changes is collected, and sent as one script.

BigQuery checks no primary key. Two transactions may insert into one table at the same time, but of two that update it
one is ended. So a transaction updates a row of the load ledger first, and it ends itself where it finds its batches
entered, because what was read before it began may have changed since. Then all is done again. Tables are made and
altered before the script, and removed or renamed after it: within a transaction BigQuery does none of this."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

from loom_common.errors import DestinationError, PermanentError
from loom_connectors.bigquery import tables
from loom_connectors.bigquery.address import NAMES
from loom_connectors.bigquery.server import ENTERED, BigQueryError, Server, meaning
from loom_connectors.bigquery.statements import Statement, listed, marker, name_list, quoted, transaction
from loom_connectors.bigquery.writing import NOT_NULL, texts_of, writer
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.blocking import finished
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Fault, Rights, Target, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.loading.repeating import done_alone
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName
from loom_connectors.values import EMPTY_TEXT, UnfitValue, json_text

Result = TypeVar("Result")
_SCRIPT = 2 * 2**20
"""The most characters of rows in one script, and in one statement. BigQuery takes 10 MB in a request."""
_ORDER = "loom_order"
_EXPIRES = "OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))"
"""Lets BigQuery remove a table of staged rows whose process was killed."""
_NO_LOCK = "loom: the row that is locked is missing"


class BigQuerySession:
    """Represents a visit to a thread. Its coroutines wait for nothing: they block."""

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
        """Tell whether the table is there. What an account may do is seen when it is done."""
        self._server.see_dataset()
        exists = bool(await self.columns(table))
        return Rights(read_only=False, exists=exists, may_write=True, may_create=True, may_alter=True)

    async def columns(self, table: TableName) -> dict[str, str]:
        found = self._server.table(table.schema, table.name) or ()
        return {each.name: each.type + (NOT_NULL if each.required else "") for each in found}

    async def types(self, table: TableName) -> dict[str, str]:
        return await self.columns(table)

    async def computed(self, table: TableName) -> Mapping[str, str]:
        return {}

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        return True

    async def create_ledger(self, ledger: TableName) -> None:
        if not await self.columns(ledger):
            self._run(tables.ledger_sql(ledger))

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        self._run(tables.table_sql(table, kinds))

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        for sql in tables.adding(table, kinds):
            self._run(sql)

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        for sql in tables.widening(table, await self.columns(table), needs):
            self._run(sql)

    async def create_like(self, staging: TableName, table: TableName) -> None:
        if not await self.columns(staging):
            self._run(tables.like_sql(staging, table))

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
        parts = list(_parts(texts))
        size = sum(map(len, parts))
        if self._size + size <= _SCRIPT:
            self._size += size
            for part in parts:
                await self.execute(_write_sql(target, columns, listed(1)), part)
        else:
            await self.execute(_write_sql(target, columns, self._staged(target.table, parts)))

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        names = name_list(list(await self.columns(source)))
        await self.execute(
            f"INSERT INTO {target.quoted_by(quoted)} ({names}) SELECT {names} FROM {source.quoted_by(quoted)}"
        )

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
    values.append(f"CAST({texts[-1]} AS INT64) AS {_ORDER}")
    rank = f"ROW_NUMBER() OVER (PARTITION BY {name_list(target.key)} ORDER BY {_ORDER} DESC) AS loom_rank"
    rows = f"SELECT *, {rank} FROM (SELECT {', '.join(values)} FROM {parts})"
    same = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in target.key)
    changed = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in columns if name not in target.key)
    update = f"WHEN MATCHED THEN UPDATE SET {changed} " if changed else ""
    return (
        f"MERGE INTO {table} AS t USING (SELECT {name_list(columns)} FROM ({rows}) WHERE loom_rank = 1) AS s ON {same} "
        f"{update}WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({name_list(columns, 's.')})"
    )


def _parts(rows: Sequence[Sequence[str | None]]) -> Iterator[str]:
    """Yield rows, each with its number at the end, as JSON lists that are short enough for a request."""
    part: list[str] = []
    size = 0
    for number, row in enumerate(rows):
        text = json_text([*row, str(number)])
        if part and size + len(text) > _SCRIPT:
            yield f"[{','.join(part)}]"
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield f"[{','.join(part)}]"


class BigQueryDialect:
    """Represents one dataset that is written."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def shown(self) -> str:
        return self._server.address.shown

    names = NAMES
    errors: tuple[type[Exception], ...] = (BigQueryError, UnfitValue, UnicodeEncodeError)

    def fault(self, error: Exception) -> Fault:
        if not isinstance(error, BigQueryError):
            return Fault.ROW
        passes = not isinstance(meaning(error, self._server.address, DestinationError), PermanentError)
        return Fault.TRANSIENT if passes else Fault.DESTINATION

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        if isinstance(error, UnicodeEncodeError):
            return FailedRow(row.record_id, "type", "A text holds half a surrogate pair, which is no character.")
        code = "constraint" if str(error).endswith("may not be NULL.") else "type"
        hint = EMPTY_TEXT if code == "type" and "" in row.values.values() else ""
        return FailedRow(row.record_id, code, f"{error}{hint}")

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return marker(number)

    def is_one_of(self, number: int) -> str:
        return f"IN (SELECT JSON_VALUE(part) FROM {listed(number)})"

    def name_list(self, names: Sequence[str]) -> str:
        return json_text(list(names))

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        return tables.TYPES[kind]

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} ADD PRIMARY KEY ({name_list(key)}) NOT ENFORCED"

    def renamed(self, table: TableName, name: str) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} RENAME TO {quoted(name)}"

    async def run(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(done_alone, lambda: self._worked(work, seconds), seconds)

    async def look(self, work: Work[Result]) -> Result:
        return await asyncio.to_thread(self._worked, work, self._server.timeouts.query)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    def _worked(self, work: Work[Result], seconds: float) -> Result:
        try:
            return finished(work(BigQuerySession(self._server, seconds)))
        except BigQueryError as error:
            raise meaning(error, self._server.address, self._server.trouble_is) from error
