"""Tests that no name reaches Postgres that it would cut: two tables, or two columns, would become one."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.postgres import tables, widening
from loom_connectors.postgres.server import Address
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.table_name import TableName

LONGEST = "x" * 61 + "\u00e9"
"""Holds 63 bytes in 62 characters."""


class Recording:
    """Keeps the statements that would be run."""

    def __init__(self):
        self.statements = []

    async def execute(self, sql, *values):
        self.statements.append(sql)


@pytest.mark.parametrize("table", [f"{LONGEST}y", f"{LONGEST}y.t"])
def test_a_table_or_schema_whose_name_would_be_cut_is_refused(tmp_path, table):
    context = ConnectorContext(tmp_path, Credentials({}))
    with pytest.raises(ConfigurationError, match="has 64 bytes; a name in Postgres has at most 63"):
        Address.of(f"postgres://host/db?table={table}", context)
    assert Address.of(f"postgres://host/db?table={LONGEST}", context).table == TableName(None, LONGEST)


@pytest.mark.parametrize("make", [lambda *given: tables.create_table(*given, ()), widening.add_columns])
async def test_a_column_whose_name_would_be_cut_is_not_made(make):
    connection, table = Recording(), TableName(None, "scores")
    with pytest.raises(DestinationError, match="cannot be a column of scores: it has 64 bytes"):
        await make(connection, table, {"id": Kind.TEXT, f"{LONGEST}y": Kind.TEXT})
    assert connection.statements == []
    await make(connection, table, {LONGEST: Kind.TEXT})
    assert LONGEST in connection.statements[-1]
