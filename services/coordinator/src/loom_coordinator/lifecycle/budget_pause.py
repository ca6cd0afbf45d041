"""Pauses a run that has spent its budget: it says how far it came, and goes on when it is given more."""

from __future__ import annotations

from typing import Any

from loom_common import flow
from loom_common.console.numbers import money
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BudgetSpent
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError
from loom_coordinator.accounting import usage
from loom_coordinator.alerts import store
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import slices
from loom_coordinator.lifecycle.run_progress import progress

EXHAUSTED = "budget_exhausted"
"""The reason of a pause, as it stands in `pipeline_runs.reason`."""


async def pause(unit: UnitOfWork, run: Run, spent: BudgetSpent) -> None:
    """Let workers drop what is on its way, and say what was done and what is left. Nothing is lost."""
    run_id = run.run_id
    tally = run.totals.tally
    whole = await slices.exhausted(unit, run_id)
    words = said(run_id, spent, tally.ended, tally.entered if whole else None)
    await run_rows.raise_epoch(unit, run, status=run_rows.PAUSED, finalizing=False, notice=words, reason=EXHAUSTED)
    await store.raise_one(unit, run, store.budget_exhausted(spent))
    await usage.add_up(unit, run)
    paused = (await run_rows.lock(unit, [run_id]))[run_id]
    told = await progress(unit, paused)
    unit.send(Outgoing(flow.fact("run", "progress", told.pipeline), told, mandatory=False))


def said(run_id: str, spent: BudgetSpent, ended: int, total: int | None) -> str:
    """Say the pause in words. Pure."""
    among = f"{ended:,} of " if total is not None else ""
    done = f"{among}{counted(ended if total is None else total, 'record')} {_verb(ended)} through"
    left = f", {total - ended:,} {_verb(total - ended)} left" if total is not None else ", and more are left"
    lost = f" ({money(spent.lost)} of it maybe: calls that died with their process)" if spent.lost else ""
    owed = f", {money(spent.owed)} is kept to judge what was answered" if spent.owed else ""
    return (
        f"{EXHAUSTED}: {money(spent.gone)} of the budget of {money(spent.limit)} is spent{lost}{owed}, and the next "
        f"call may cost {money(spent.needed)}. {done}{left}; what is paid for is kept. "
        f"Go on with `loom resume {run_id} --budget USD`."
    )


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def resumed(run: Run, given: float | None, booked: float) -> dict[str, Any]:
    """Return the columns that a resumed run gets. Raises `ConfigurationError` for a budget that is no use. Pure."""
    run_id = run.run_id
    if given is not None and given <= booked:
        raise ConfigurationError(
            f"Run {run_id} has cost {money(booked)} already; a budget of {money(given)} lets it do nothing. "
            f"Give it more: `loom resume {run_id} --budget USD`."
        )
    if given is None and run.reason == EXHAUSTED:
        raise ConfigurationError(
            f"Run {run_id} has spent its budget of {money(run.budget)}. Say what it may cost in all: "
            f"`loom resume {run_id} --budget USD`."
        )
    return {"reason": None, "budget": run.budget if given is None else given}
