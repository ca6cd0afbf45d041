"""Provides an emulator of BigQuery where `make bigquery` asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from loom_dev.emulators.bigquery import BigQuery


@pytest.fixture(scope="session")
def bigquery() -> Iterator[BigQuery]:
    if not os.environ.get("LOOM_BIGQUERY"):
        pytest.skip("`make bigquery` builds the environment of the emulator")
    server = BigQuery().start()
    yield server
    server.close()


@pytest.fixture
def bigquery_url(bigquery: BigQuery) -> str:
    """Provide an empty dataset of the test's own."""
    return bigquery.dataset()
