"""Provides an emulator of BigQuery where `make bigquery` asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from loom_dev.emulators.bigquery import BigQuery

collect_ignore_glob = [] if os.environ.get("LOOM_BIGQUERY") else ["test_*.py"]
"""The emulator needs an environment of its own. Without `make bigquery` there are no such tests, rather than tests that
are skipped."""


@pytest.fixture(scope="session")
def bigquery() -> Iterator[BigQuery]:
    server = BigQuery().start()
    yield server
    server.close()


@pytest.fixture
def bigquery_url(bigquery: BigQuery) -> str:
    """Provide an empty dataset of the test's own."""
    return bigquery.dataset()
