"""Trying a fault once: a fresh trial, the fault, the end, the invariants, and the arena whole again."""

from __future__ import annotations

import asyncio
import random
import re
import traceback
from dataclasses import replace

from matrix.arena import Arena
from matrix.invariants import troubles, unsettled
from matrix.outcomes import Outcome
from matrix.rows import Row
from matrix.trial import Trial

TRY_SECONDS = 240.0
NOT_WHOLE = "the cluster did not come back: not all services consume"
_numbers = iter(range(1_000_000))


async def tried(arena: Arena, row: Row, seed: int) -> Outcome:
    """What came of it. The same seed strikes at the same moment of the same run, as far as the machine allows."""
    await arena.whole()
    arena.model.calls = 0
    arena.model.asked.clear()
    arena.deaths.clear()
    arena.cluster.forget_troubles()
    name = "t_" + re.sub(r"\W+", "_", row.fault.lower()).strip("_")[:30]
    trial = Trial(arena, random.Random(f"{row.fault}/{seed}"), f"{name}_{seed}_{next(_numbers)}")
    try:
        async with asyncio.timeout(TRY_SECONDS):
            await row.how(trial)
            found = await troubles(trial)
    except AssertionError as error:
        found = [str(error)]
    except TimeoutError:
        found = [f"not over after {TRY_SECONDS:g} s"]
    except Exception as error:  # noqa: BLE001 - a fault that could not be tried is a failure like any other
        found = [f"{type(error).__name__}: {error}", *traceback.format_tb(error.__traceback__)[-2:]]
    outcome = Outcome(
        fault=row.fault,
        seed=seed,
        troubles=tuple(found),
        recovery=trial.recovery,
        repeated_calls=None if trial.asks_twice else max(0, arena.model.calls - len(arena.model.asked)),
        records=trial.records,
        exits=len(arena.deaths),
        notes=(*trial.notes, *(f"{name} ended with {code}" for name, code in arena.deaths)),
    )
    try:
        await _restored(arena, trial)
    except TimeoutError:
        return replace(outcome, troubles=(*outcome.troubles, NOT_WHOLE))
    return outcome


async def _restored(arena: Arena, trial: Trial) -> None:
    """Nothing of one trial reaches the next."""
    await arena.disarm()
    await arena.whole()
    await arena.rows("UPDATE pipeline_runs SET wanted = 'cancel' WHERE status = 'running'")
    await unsettled(arena, trial.run_id, trial.dead)
    if await arena.dead():
        arena.purge_dead()
