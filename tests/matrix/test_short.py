"""Runs the short matrix, which tries some faults of every kind once. `make faults` tries all of them, often."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from matrix.attempt_fault import TRY_SECONDS, attempt_fault
from matrix.cluster_under_test import ClusterUnderTest, cluster_under_test
from matrix.fault_cases import FAULT_CASES

SHORT = [case for case in FAULT_CASES if case.short and not case.proxied]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system() -> AsyncIterator[ClusterUnderTest]:
    """Start a cluster for all tests of this module."""
    async with cluster_under_test() as made:
        yield made


@pytest.mark.timeout(TRY_SECONDS + 120)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.fault)
async def test_every_promise_holds_after(case, system):
    outcome = await attempt_fault(system, case, seed=1)

    assert not outcome.troubles, "\n".join((*outcome.troubles, *outcome.notes, system.cluster.troubles()[-5000:]))
