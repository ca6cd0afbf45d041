"""Implements BigQuery as a `SourceDialect`: a request in a thread, one page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from loom_connectors.bigquery import statements
from loom_connectors.bigquery.errors import BigQueryError, meaning
from loom_connectors.bigquery.reading import as_json, as_text, mark_column, read_column
from loom_connectors.bigquery.server import Server
from loom_connectors.sql.reading.mark import MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn, Work
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.warehouse.source_dialect import WarehouseSourceDialect, WarehouseSourceSession

Result = TypeVar("Result")
_UNORDERED = ("JSON", "STRUCT", "ARRAY", "GEOGRAPHY")


class BigQuerySourceSession(WarehouseSourceSession):
    """Asks one dataset. Each statement may take `seconds`."""

    def __init__(self, server: Server, seconds: float) -> None:
        super().__init__(server.address.shown)
        self._server = server
        self._seconds = seconds

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        """Ask what a query would give. That reads nothing, and costs nothing."""
        answer = self._server.run(query, values, seconds=self._seconds, dry=True)
        return [read_column(each) for each in answer.columns]

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._server.run(sql, values, seconds=self._seconds).rows

    def _is_there(self, table: TableName) -> bool:
        return self._server.table(table.schema, table.name) is not None


class BigQuerySourceDialect(WarehouseSourceDialect[Server]):
    """Represents one dataset that is read."""

    def quoted(self, name: str) -> str:
        return statements.quoted(name)

    def marker(self, number: int) -> str:
        return statements.marker(number)

    def row_text(self, row: str, names: Sequence[str]) -> str:
        """Return the hash of all values."""
        return f"TO_HEX(MD5(TO_JSON_STRING({row})))"

    def key(self, column: ReadColumn, sql: str) -> str:
        return as_json(sql) if column.type in _UNORDERED else sql

    def key_form(self, column: ReadColumn, sql: str) -> str:
        if column.type == "BYTES":
            return f"TO_HEX({sql})"
        return self.key(column, sql) if column.type in ("STRING", *_UNORDERED) else as_text(sql)

    def key_value(self, column: ReadColumn, marker: str) -> str:
        if column.type == "BYTES":
            return f"FROM_HEX({marker})"
        return marker if column.type in ("STRING", *_UNORDERED) else f"CAST({marker} AS {column.type})"

    def mark_column(self, column: ReadColumn) -> MarkColumn | None:
        return mark_column(column)

    def _visit(self, work: Work[Result], seconds: float) -> Result:
        try:
            return finished(work(BigQuerySourceSession(self._server, seconds)))
        except BigQueryError as error:
            raise meaning(error, self._server.address, self._server.trouble_is) from error
