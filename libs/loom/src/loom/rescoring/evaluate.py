"""Scores the outputs of a run again, from the first record to the report."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from loom.engine import prepare
from loom.project.config import LoomConfig
from loom.project.person import person
from loom.project.run_state import no_run
from loom.rescoring import plans, report
from loom.rescoring.figures import Figures
from loom.rescoring.judging import Judging
from loom.rescoring.outputs import Outputs, Source
from loom.rescoring.report import Rescored
from loom.rescoring.request import Asked, changes_of
from loom.rescoring.stages import opened_judging, opened_source
from loom_common.async_engine import AsyncEngine
from loom_common.config.settings import Settings
from loom_common.console.numbers import money
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.replaying import Changes
from loom_common.errors import BudgetExhausted, ConfigurationError, PermanentError
from loom_common.service.bootstrap import Platform, open_platform
from loom_coordinator.db import run_rows
from loom_coordinator.db.outputs import rescorings
from loom_coordinator.db.run import Run
from loom_migrations.engine import open_engine

_AT_ONCE = 4
"""The number of batches that are judged at the same time."""
_REASONS = 5
"""Reasons for which outputs are gone that a report names."""


async def evaluate(
    config: LoomConfig,
    run_id: str,
    asked: Asked,
    *,
    budget: float | None = None,
    shown: int | None = None,
    by: str | None = None,
) -> Rescored:
    """Judge the outputs of a run again and return what changes; `shown` limits the records that are named. What was
    judged before, for this run or another, is not paid for. `budget` is what new judgements may cost, in USD; `by` is
    who asks, the user of this process unless it is given.

    Raises `NotFound`, `ConfigurationError` where it cannot be judged so, and what the stages raise."""
    settings = settings_of(config)
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        run = await ended_run(engine, config, run_id)
        changes = changes_of(run.definition, asked)
        rescoring_id = await judge(engine, platform, run, changes, budget, by)
        return await told(engine, rescoring_id, shown)


async def judge(
    engine: AsyncEngine, platform: Platform, run: Run, changes: Changes, budget: float | None, by: str | None = None
) -> str:
    """Judge all outputs of the run, and store what is said of each. Return the id of what is stored."""
    rescoring_id = f"score_{secrets.token_hex(6)}"
    plan = await platform.plans.get(run.plan)
    if plan.replay is not None:
        raise ConfigurationError(
            f"Run {run.run_id} ran over records of {plan.replay.run_id} again, and has no source of its own. Score "
            f"that one: loom evaluate {plan.replay.origin or plan.replay.run_id}."
        )
    made = changes.model_dump(mode="json", exclude_defaults=True)
    async with engine.begin() as connection:
        await rescorings.begin(connection, rescoring_id, run.run_id, made, by or person(), _now())
    limit = None if budget is None else Budget(limit=budget)
    judged_by = plans.of_judging(plan, run, changes)
    assert judged_by.pipeline.evaluate is not None
    figures = Figures(judged_by.pipeline.evaluate)
    async with (
        opened_source(engine, platform, run, plan) as source,
        opened_judging(platform, plan, judged_by, rescoring_id, limit) as judging,
    ):
        try:
            await _all(engine, source, judging, figures, rescoring_id)
        except BudgetExhausted as spent:
            raise PermanentError(
                f"New judgements may cost no more than ${spent.limit:g}, and the next one could: {money(spent.gone)} "
                "is spent. What was judged is kept, and not paid for again: repeat the command with a larger --budget."
            ) from None
        trouble = source.trouble
        reason = (
            f"The source cannot be read any more: {trouble}" if trouble else "Its source no longer holds the record"
        )
        await rescorings.enter_gone(engine, rescoring_id, run.run_id, reason)
    await _keep(engine, rescoring_id, run, figures)
    return rescoring_id


async def told(engine: AsyncEngine, rescoring_id: str, shown: int | None) -> Rescored:
    """Return the report of what is stored."""
    async with engine.connect() as connection:
        stored = await rescorings.find(connection, rescoring_id)
        assert stored is not None and stored.report is not None
        changed = await rescorings.changed(connection, rescoring_id, shown)
    return Rescored(**stored.report, changed=changed)


async def ended_run(engine: AsyncEngine, config: LoomConfig, run_id: str) -> Run:
    """Return a run that has ended. Raises `NotFound`, and `ConfigurationError` for one that has not."""
    async with engine.connect() as connection:
        run = await run_rows.find(connection, run_id)
    if run is None:
        raise no_run(config, run_id)
    refuse_unended(run)
    return run


def refuse_unended(run: Run) -> None:
    """Raise `ConfigurationError` for a run that has not ended."""
    if run.status not in run_rows.TERMINAL or run.completed_at is None:
        raise ConfigurationError(
            f"Run {run.run_id} has not ended (its status is {run.status}), so its outputs are not all there. Finish it "
            f"with `loom resume {run.run_id}`, or drop it with `loom cancel {run.run_id}`; then score it again."
        )


def settings_of(config: LoomConfig) -> Settings:
    """Return the settings with which this process works by itself: in a cluster, too, it needs no broker."""
    settings = config.settings()
    if config.distributed and settings.state.url.get_secret_value().startswith("sqlite:"):
        raise ConfigurationError(
            "The cluster's run state is not known here. Name its database: `storage: {type: postgres, url: "
            "postgresql://...}` in loom.yaml, or LOOM_STATE_URL in the environment."
        )
    return settings.model_copy(update={"bus": settings.bus.model_copy(update={"url": SecretStr("memory://")})})


@asynccontextmanager
async def opened_state(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Open the run state, brought to the newest schema."""
    await prepare(settings)
    engine = open_engine(settings.state.url.get_secret_value())
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def opened_platform(settings: Settings) -> AsyncIterator[Platform]:
    """Open what the handlers of the stages need."""
    async with open_platform(settings, "loom-evaluate") as platform:
        yield platform


async def _all(engine: AsyncEngine, source: Source, judging: Judging, figures: Figures, rescoring_id: str) -> None:
    """Judge every batch, a few at the same time."""
    free, number, writing = asyncio.Semaphore(_AT_ONCE), 0, asyncio.Lock()

    async def one(outputs: Outputs, at: int) -> None:
        try:
            judged = await judging.judge(outputs, at)
            async with writing, engine.begin() as connection:
                await rescorings.enter(connection, rescoring_id, judged.rows)
            figures.add(judged.rows, judged.calls)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as tasks:
            for stream in (source.kept(), source.read()):
                async for outputs in stream:
                    figures.leave_out(outputs.settled, outputs.new)
                    await free.acquire()
                    tasks.create_task(one(outputs, number))
                    number += 1
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _keep(engine: AsyncEngine, rescoring_id: str, run: Run, figures: Figures) -> None:
    """Store the figures of a rescoring, so that its report can be shown again."""
    async with engine.begin() as connection:
        pairs = await rescorings.verdicts(connection, rescoring_id)
        before, after = report.counted(pairs)
        enter, leave = report.changing_side(pairs)
        gone = await rescorings.gone(connection, rescoring_id, _REASONS)
        made = Rescored(
            rescoring_id=rescoring_id,
            run_id=run.run_id,
            pipeline=run.pipeline_name,
            verdicts_before=before,
            verdicts=after,
            pass_now=enter,
            fail_now=leave,
            gone=sum(number for (_, now), number in pairs.items() if now == rescorings.GONE),
            gone_because={each.record_id: each.reason or "" for each in gone},
            settled=figures.settled,
            new=figures.new,
            evaluators=[each.as_json() for each in figures.evaluators()],
            calls=[each.model_dump() for each in figures.calls],
            calls_made=sum(each.made for each in figures.calls),
            calls_reused=sum(each.reused for each in figures.calls),
            cost=sum(each.cost for each in figures.calls),
        )
        stored = {name: value for name, value in made.as_json().items() if name not in ("changed", "applied")}
        await rescorings.change(connection, rescoring_id, report=stored)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
