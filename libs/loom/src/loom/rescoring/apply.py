"""Applies what scoring again says: withdraws what no longer passes, and loads what passes now.

What is to be done is written down before the first row is touched. A process that ends amid it leaves that behind, and
the next `--apply` finishes it, without withdrawing or loading anything twice."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from sqlalchemy import select

from loom.project.config import LoomConfig
from loom.rescoring import withdrawing
from loom.rescoring.evaluate import ended_run, judge, opened_platform, opened_state, settings_of, told
from loom.rescoring.report import Rescored
from loom.rescoring.request import Asked, changes_of
from loom.session import open_session
from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import RunFinished, RunReport
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.replaying import Changes
from loom_common.domain.values.ids import run_id_for
from loom_common.errors import ConfigurationError, PermanentError
from loom_common.resilience import failpoints
from loom_common.service.bootstrap import Platform
from loom_coordinator.db import run_rows
from loom_coordinator.db.outputs import rescorings
from loom_coordinator.db.outputs.rescorings import APPLIED, APPLYING, GIVEN_UP
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs


async def apply(
    config: LoomConfig,
    run_id: str,
    asked: Asked,
    *,
    budget: float | None = None,
    shown: int | None = None,
    by: str | None = None,
) -> Rescored:
    """Judge the outputs of a run again, load those that pass now, and withdraw those that no longer do. Where an
    earlier one was interrupted, finish that instead. Raises as `evaluate` does, and `ConfigurationError` where rows
    cannot be withdrawn: nothing is changed then."""
    settings = settings_of(config)
    async with opened_state(settings) as engine:
        async with opened_platform(settings) as platform:
            run = await ended_run(engine, config, run_id)
            plan = await platform.plans.get(run.plan)
            async with engine.connect() as connection:
                begun = await rescorings.underway(connection, run_id)
            if begun is None:
                await _refuse_unfit(engine, run, plan)
                changes = changes_of(run.definition, asked)
                rescoring_id = await judge(engine, platform, run, changes, budget, by)
                await _begin(engine, platform, plan, rescoring_id)
            else:
                await _give_up_if_unfit(engine, run, plan, begun.rescoring_id)
                rescoring_id = begun.rescoring_id
                changes = Changes.model_validate(begun.changes)
            gone = await withdrawing.withdraw(engine, platform, run, plan, rescoring_id)
        async with engine.connect() as connection:
            entering = await rescorings.entering(connection, rescoring_id)
        await failpoints.reach("before_rescored_load")
        loaded = await _load(engine, config, run_id, rescoring_id, entering, changes) if entering else None
        async with engine.begin() as connection:
            await rescorings.change(connection, rescoring_id, state=APPLIED, applied_at=dt.datetime.now(dt.UTC))
        report = await told(engine, rescoring_id, shown)
    applied = {
        "loaded": 0 if loaded is None else loaded.records["loaded"],
        "withdrawn": gone,
        "replay_run_id": None if loaded is None else loaded.run_id,
        "finished_earlier": begun is not None,
    }
    return replace(report, applied=applied)


async def _refuse_unfit(engine: AsyncEngine, run: Run, plan: Plan) -> None:
    """Raise `ConfigurationError` where what the run loaded is not what lies in the destination."""
    if run.status not in (run_rows.SUCCEEDED, run_rows.PARTIAL):
        raise ConfigurationError(f"Run {run.run_id} is {run.status}: nothing follows from its scores. Resume it first.")
    if plan.beside:
        raise ConfigurationError(f"Run {run.run_id} was a trial: its rows lie beside the destination, not in it.")
    if run.tally is not None and run.tally.second:
        raise ConfigurationError(
            f"{run.tally.second} records of run {run.run_id} are in its second destination (`load.fallback`), and "
            "which they are is not known. Run the pipeline again with the other evaluators."
        )
    later = (
        select(pipeline_runs.c.run_id)
        .where(
            pipeline_runs.c.pipeline_name == run.pipeline_name,
            pipeline_runs.c.started_at > run.started_at,
            pipeline_runs.c.replay_of.is_(None),
            pipeline_runs.c.sample.is_(None),
            pipeline_runs.c.destination == run.destination,
        )
        .order_by(pipeline_runs.c.started_at.desc())
        .limit(1)
    )
    async with engine.connect() as connection:
        newer = (await connection.execute(later)).scalar_one_or_none()
    if newer is not None:
        raise ConfigurationError(
            f"Run {newer} of {run.pipeline_name} has begun to load since, so that rows may be that run's. Score that "
            f"one: loom evaluate {newer}."
        )


async def _give_up_if_unfit(engine: AsyncEngine, run: Run, plan: Plan, rescoring_id: str) -> None:
    """Give up an apply that was interrupted, where another run has loaded since: rows with the same keys are that
    run's. Raises as `_refuse_unfit` does."""
    try:
        await _refuse_unfit(engine, run, plan)
    except ConfigurationError:
        async with engine.begin() as connection:
            await rescorings.change(connection, rescoring_id, state=GIVEN_UP)
        raise


async def _begin(engine: AsyncEngine, platform: Platform, plan: Plan, rescoring_id: str) -> None:
    """Write down that what was judged takes effect. Raises `ConfigurationError` where rows cannot be withdrawn."""
    async with engine.connect() as connection:
        leaving = await rescorings.number_leaving(connection, rescoring_id)
    if leaving and (why := await withdrawing.refusal(platform, plan)) is not None:
        raise ConfigurationError(
            f"Nothing is applied: {leaving} loaded records no longer pass, and would have to be withdrawn. {why}"
        )
    async with engine.begin() as connection:
        await rescorings.change(connection, rescoring_id, state=APPLYING)


async def _load(
    engine: AsyncEngine,
    config: LoomConfig,
    run_id: str,
    rescoring_id: str,
    entering: tuple[str, ...],
    changes: Changes,
) -> RunReport:
    """Load the records by a replay that judges the outputs that were kept. The replay of an apply that was interrupted
    is resumed. Raises `PermanentError` where it is paused."""
    evaluate = {name: value for name, value in (changes.evaluate or {}).items() if name != "cache"}
    how = changes.model_copy(update={"outputs": True, "evaluate": evaluate})
    replay_id = run_id_for(rescoring_id)
    async with engine.connect() as connection:
        begun = await run_rows.find(connection, replay_id)
    async with open_session(config) as session:
        if begun is None:
            accepted = await session.replay(run_id, entering, how, rescoring_id)
        elif begun.status in run_rows.TERMINAL:
            return await _report(engine, replay_id)
        else:
            accepted = await session.resume(replay_id)
        async for event in session.follow(accepted.run_id):
            if isinstance(event, RunFinished):
                return event.report
    raise PermanentError(
        f"Run {replay_id}, which loads what passes now, is paused. Repeat the command: it goes on where it stands."
    )


async def _report(engine: AsyncEngine, replay_id: str) -> RunReport:
    from loom_coordinator.queries import runs

    async with engine.connect() as connection:
        report = await runs.report(connection, replay_id)
    assert report is not None
    return report
