"""Pauses a run that has spent its budget: it says how far it came, and goes on when it is given more. A window of a
stream that has spent the budget of the day goes on by itself when the next day begins."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

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
EXHAUSTED_FOR_THE_DAY = "day_budget_exhausted"
"""The reason of the pause of a window whose stream has spent the budget of the day."""


async def pause(unit: UnitOfWork, run: Run, spent: BudgetSpent) -> None:
    """Let workers drop what is on its way, and say what was done and what is left. Nothing is lost."""
    run_id = run.run_id
    tally = run.totals.tally
    whole = await slices.exhausted(unit, run_id)
    resumes_at = None
    if spent.until is None:
        words, reason = said(run_id, spent, tally.ended, tally.entered if whole else None), EXHAUSTED
    else:
        resumes_at = _next_time(run, spent, unit.now)
        words, reason = said_of_day(run, spent, spent.until), EXHAUSTED_FOR_THE_DAY
    await run_rows.raise_epoch(
        unit, run, status=run_rows.PAUSED, finalizing=False, notice=words, reason=reason, resumes_at=resumes_at
    )
    if resumes_at is None or resumes_at > unit.now:
        await store.raise_one(unit, run, store.budget_exhausted(spent))
    await usage.add_up(unit, run)
    paused = (await run_rows.lock(unit, [run_id]))[run_id]
    told = await progress(unit, paused)
    unit.send(Outgoing(flow.fact("run", "progress", told.pipeline), told, mandatory=False))


def _next_time(run: Run, spent: BudgetSpent, now: dt.datetime) -> dt.datetime | None:
    """Return when a run goes on whose day is spent: at once where the budget was raised since the batch was sent, or
    the day is over by now; None where somebody has to resume it. Pure."""
    of_day = run.day_budget
    if of_day is None or of_day["usd"] > spent.limit:
        return now
    return None if of_day["when_spent"] == "stop" else spent.until


def said_of_day(run: Run, spent: BudgetSpent, until: dt.datetime) -> str:
    """Say in words that the budget of the day is spent. Pure."""
    zone = "UTC" if run.day_budget is None else run.day_budget["timezone"]
    begins = f"{until.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
    lost = f" ({money(spent.lost)} of it maybe: calls that died with their process)" if spent.lost else ""
    if run.day_budget is not None and run.day_budget["when_spent"] == "stop":
        more = f"The stream is stopped; the next day begins at {begins}. Go on with `loom resume {run.stream}`"
    else:
        more = f"The stream waits, and goes on by itself at {begins}. To go on before that"
    return (
        f"{EXHAUSTED_FOR_THE_DAY}: {money(spent.gone)} of the {money(spent.limit)} for the day is spent{lost}, and the "
        f"next call may cost {money(spent.needed)}. What is paid for is kept. {more}, or raise "
        "`monitoring.cost_budget_per_day` and `loom run` the file."
    ).replace("To go on before that, or raise", "To go on before that, raise")


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
    if given is not None and run.reason == EXHAUSTED_FOR_THE_DAY:
        raise ConfigurationError(
            f"Run {run_id} waits for the next day, because its stream has spent the budget of this one. A budget of "
            "the day is raised in the pipeline: `monitoring.cost_budget_per_day`, and `loom run` of its file."
        )
    return {"reason": None, "budget": run.budget if given is None else given}
