"""Provides a database of the test's own, and the connector on it."""

from __future__ import annotations

from typing import Any

import pytest

from support.connected import OpensDestination, OpensSource, opens_destination, opens_source
from support.sql_systems import in_mysql


@pytest.fixture
def sql(mariadb_url):
    """Runs statements in the test's own database."""

    async def run(*statements: str) -> list[tuple[Any, ...]]:
        rows: Any = []
        for statement in statements:
            rows = await in_mysql(mariadb_url, statement)
        return [tuple(row) for row in rows]

    return run


@pytest.fixture
def reading(mariadb_url, tmp_path) -> OpensSource:
    """Opens a source, and closes it."""
    return opens_source(tmp_path, mariadb_url)


@pytest.fixture
def loading(mariadb_url, tmp_path) -> OpensDestination:
    """Opens a destination, and closes it."""
    return opens_destination(tmp_path, mariadb_url)
