"""Keeps what an incremental run has read, and moves its pipeline's mark in the transaction that ends the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select, update

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import SliceExtracted
from loom_common.domain.incremental.window import Window, joined
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError
from loom_coordinator.accounting import tallies
from loom_coordinator.db import marks, run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.incremental import incremental_progress
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

_TABLE = incremental_progress.c


async def begin(unit: UnitOfWork, plan: Plan, *, full: bool) -> Plan:
    """Return the plan with the window that the run begins at. A trial and a replay have none, and move no mark.

    Raises `ConfigurationError` where another run of the pipeline reads the same source: both would take the same
    records."""
    extract = plan.pipeline.extract
    if extract.incremental is None or plan.replay is not None or plan.beside or plan.pipeline.mode == "streaming":
        return plan
    source = marks.source_id(extract)
    active = (
        select(_TABLE.run_id)
        .join(pipeline_runs, pipeline_runs.c.run_id == _TABLE.run_id)
        .where(
            pipeline_runs.c.pipeline_name == plan.pipeline.name,
            pipeline_runs.c.target.is_not_distinct_from(plan.pipeline.target),
            _TABLE.source == source,
            pipeline_runs.c.status.not_in(run_rows.TERMINAL),
        )
    )
    other = (await unit.connection.execute(active)).scalars().first()
    if other is not None:
        raise ConfigurationError(
            f"Run {other} of {plan.pipeline.name} reads the same source incrementally and has not ended. Finish it "
            f"with `loom resume {other}`, or drop it with `loom cancel {other}`."
        )
    _, window = await marks.held(unit.connection, plan.pipeline.state_name, source)
    return plan.model_copy(update={"window": None if full else window})


async def enter(unit: UnitOfWork, run_id: str, plan: Plan, *, full: bool) -> None:
    """Note which mark an incremental run begins at."""
    extract = plan.pipeline.extract
    if extract.incremental is None or plan.replay is not None or plan.beside:
        return
    source = marks.source_id(extract)
    version, _ = await marks.held(unit.connection, plan.pipeline.state_name, source)
    row = {"run_id": run_id, "source": source, "version": version, "full": full}
    await unit.connection.execute(incremental_progress.insert(), row)


async def keep(unit: UnitOfWork, known: Mapping[str, Run], facts: Sequence[Message]) -> None:
    """Keep what slices have read. A fact that comes again changes nothing."""
    found: dict[str, list[Window]] = {}
    for fact in facts:
        if isinstance(fact, SliceExtracted) and fact.window is not None:
            found.setdefault(fact.run_id, []).append(fact.window)
    for run_id, windows in sorted(found.items()):
        row = (await unit.connection.execute(select(_TABLE.seen).where(_TABLE.run_id == run_id))).one_or_none()
        config = tallies.definition(known[run_id]).extract.incremental
        if row is None or config is None:
            continue
        before = None if row[0] is None else Window(**row[0])
        after = joined([before, *windows], config.lag)
        if after != before and after is not None:
            changed = {"seen": after.model_dump(mode="json")}
            await unit.connection.execute(update(incremental_progress).where(_TABLE.run_id == run_id).values(**changed))


async def advance(unit: UnitOfWork, run: Run) -> None:
    """Move the mark of the pipeline to what the run has read. Called where all of the source was read and everything is
    loaded, rejected or kept back."""
    if tallies.definition(run).extract.incremental is None:
        return
    row = (
        await unit.connection.execute(
            select(_TABLE.source, _TABLE.full, _TABLE.seen).where(_TABLE.run_id == run.run_id)
        )
    ).one_or_none()
    if row is None or row.seen is None:
        return
    extract = tallies.definition(run).extract
    assert extract.incremental is not None
    _, before = await marks.held(unit.connection, run.state_name, row.source)
    after = joined([None if row.full else before, Window(**row.seen)], extract.incremental.lag)
    if after is not None:
        await marks.store(unit.connection, run.state_name, extract, after, unit.now, run.run_id)


async def see_that_it_may_be_resumed(unit: UnitOfWork, run: Run) -> None:
    """Raise `ConfigurationError` where the mark has moved since the run began: a run that came after has read what this
    one left."""
    query = select(_TABLE.source, _TABLE.version).where(_TABLE.run_id == run.run_id)
    row = (await unit.connection.execute(query)).one_or_none()
    if row is None:
        return
    version, _ = await marks.held(unit.connection, run.state_name, row.source)
    if version != row.version:
        raise ConfigurationError(
            f"Run {run.run_id} reads incrementally, and the mark has moved since it began: a later run has read what "
            "it left. Start the pipeline again instead."
        )
