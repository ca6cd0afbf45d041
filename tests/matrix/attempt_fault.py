"""Injects one fault into a new run, waits for the end, checks the invariants, and restores the cluster."""

from __future__ import annotations

import asyncio
import random
import re
import traceback
from dataclasses import replace

from matrix.attempt import Attempt
from matrix.cluster_under_test import ClusterUnderTest
from matrix.fault_cases import FaultCase
from matrix.invariants import troubles, unsettled
from matrix.outcomes import Outcome

TRY_SECONDS = 240.0
NOT_WHOLE = "the cluster did not come back: not all services consume"
_numbers = iter(range(1_000_000))


async def attempt_fault(system: ClusterUnderTest, case: FaultCase, seed: int) -> Outcome:
    """Return the outcome of one attempt. The same seed chooses the same moment of the run, as far as the machine
    allows."""
    await system.wait_until_all_consume()
    system.model.calls = 0
    system.model.asked.clear()
    system.deaths.clear()
    system.cluster.forget_troubles()
    name = "t_" + re.sub(r"\W+", "_", case.fault.lower()).strip("_")[:30]
    attempt = Attempt(system, random.Random(f"{case.fault}/{seed}"), f"{name}_{seed}_{next(_numbers)}")
    try:
        async with asyncio.timeout(TRY_SECONDS):
            await case.inject(attempt)
            found = await troubles(attempt)
    except AssertionError as error:
        found = [str(error)]
    except TimeoutError:
        found = [f"not over after {TRY_SECONDS:g} s"]
    except Exception as error:  # noqa: BLE001 - a fault that could not be tried is a failure like any other
        found = [f"{type(error).__name__}: {error}", *traceback.format_tb(error.__traceback__)[-2:]]
    outcome = Outcome(
        fault=case.fault,
        seed=seed,
        troubles=tuple(found),
        recovery=attempt.recovery,
        repeated_calls=None if attempt.asks_twice else max(0, system.model.calls - len(system.model.asked)),
        records=attempt.records,
        exits=len(system.deaths),
        notes=(*attempt.notes, *(f"{name} ended with {code}" for name, code in system.deaths)),
    )
    try:
        await _restored(system, attempt)
    except TimeoutError:
        return replace(outcome, troubles=(*outcome.troubles, NOT_WHOLE))
    return outcome


async def _restored(system: ClusterUnderTest, attempt: Attempt) -> None:
    """Restore the cluster, so that nothing of this attempt affects the next."""
    await system.restart_unchanged()
    await system.wait_until_all_consume()
    await system.rows("UPDATE pipeline_runs SET wanted = 'cancel' WHERE status = 'running'")
    await unsettled(system, attempt.run_id, attempt.dead_letters)
    if await system.dead_letters():
        system.purge_dead_letters()
