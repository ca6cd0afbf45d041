"""Provides a simulated provider, a database, and batches that are looked after within fractions of a second."""

from __future__ import annotations

import pytest

from loom_common.resilience import failpoints
from support.batches import quick
from support.journal_tables import create_tables
from support.simulated_model import SimulatedModel


@pytest.fixture
async def model():
    async with SimulatedModel() as server:
        yield server


@pytest.fixture
async def url(tmp_path):
    url = f"sqlite:///{tmp_path}/journal.db"
    await create_tables(url)
    yield url


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)
    yield
    failpoints.disarm()
