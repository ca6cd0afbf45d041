"""Tests that no name reaches Postgres that it would cut: two tables, or two columns, would become one."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.postgres.server import NAMES, Address
from loom_connectors.sql.table_name import TableName

LONGEST = "x" * 61 + "\u00e9"
"""Holds 63 bytes in 62 characters."""


@pytest.mark.parametrize("table", [f"{LONGEST}y", f"{LONGEST}y.t"])
def test_a_table_or_schema_whose_name_would_be_cut_is_refused(tmp_path, table):
    context = ConnectorContext(tmp_path, Credentials({}))
    with pytest.raises(ConfigurationError, match="has 64 bytes; a name in Postgres has at most 63"):
        Address.of(f"postgres://host/db?table={table}", context)
    assert Address.of(f"postgres://host/db?table={LONGEST}", context).table == TableName(None, LONGEST)


@pytest.mark.parametrize("names", [["id", f"{LONGEST}y"], [f"{LONGEST}y"]])
def test_a_column_whose_name_would_be_cut_is_not_made(names):
    with pytest.raises(DestinationError, match="cannot be a column of scores: it has 64 bytes"):
        NAMES.check_columns(names, TableName(None, "scores"))
    NAMES.check_columns([LONGEST], TableName(None, "scores"))
