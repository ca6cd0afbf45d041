"""The short matrix: some faults of every kind, once each. `make faults` tries all of them, often."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from matrix.arena import Arena, arena
from matrix.rows import ROWS
from matrix.trying import TRY_SECONDS, tried

SHORT = [row for row in ROWS if row.short and not row.proxied]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place() -> AsyncIterator[Arena]:
    """Servers and services to break; what one fault broke is whole again before the next."""
    async with arena() as made:
        yield made


@pytest.mark.timeout(TRY_SECONDS + 120)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("row", SHORT, ids=lambda row: row.fault)
async def test_every_promise_holds_after(row, place):
    outcome = await tried(place, row, seed=1)

    assert not outcome.troubles, "\n".join((*outcome.troubles, *outcome.notes, place.cluster.troubles()[-5000:]))
