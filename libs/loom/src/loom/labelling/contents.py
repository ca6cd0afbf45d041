"""Finds input and output of the records of a sample, and stores them beside it.

Records that were kept back have both in quarantine. Others are read from the source again, and their output is had from
the journal, as `loom evaluate` does it: no model is asked."""

from __future__ import annotations

from typing import Any

from loom.rescoring.stages import opened_source
from loom_common.async_engine import AsyncEngine
from loom_common.errors import ConfigurationError
from loom_common.service.bootstrap import Platform
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.run import Run
from loom_quarantine import queries
from loom_quarantine.queries import RecordFilter

_GONE = "Its source no longer holds the record"


async def keep_contents(engine: AsyncEngine, platform: Platform, run: Run, subject: str) -> None:
    """Store what is needed to judge the records of a sample that lack it. Raises what reading the source raises."""
    async with engine.connect() as connection:
        missing = set(await labels.without_contents(connection, run.run_id, subject))
    if not missing:
        return
    kept = await queries.whole(engine, RecordFilter(run_id=run.run_id, record_ids=tuple(missing)), len(missing))
    found: dict[str, dict[str, Any]] = {
        each.record_id: {
            "record_data": each.record_data,
            "output": each.record_data if each.output is None else each.output,  # it was passed through
        }
        for each in kept
    }
    await _store(engine, run, subject, found)
    missing -= found.keys()
    if missing:
        await _from_source(engine, platform, run, subject, missing)


async def _from_source(engine: AsyncEngine, platform: Platform, run: Run, subject: str, missing: set[str]) -> None:
    plan = await platform.plans.get(run.plan)
    if plan.replay is not None:
        raise ConfigurationError(
            f"Run {run.run_id} ran over records of {plan.replay.run_id} again, and has no source of its own. Judge "
            f"the records of that one: loom label {plan.replay.origin or plan.replay.run_id}."
        )
    async with opened_source(engine, platform, run, plan) as source:
        async for outputs in source.read(frozenset(missing)):
            found: dict[str, dict[str, Any]] = {
                each.id: {"record_data": each.input, "output": each.result}
                for each in outputs.records
                if each.id in missing
            }
            found |= {name: {"gone": reason} for name, reason in outputs.gone.items() if name in missing}
            await _store(engine, run, subject, found)
            missing -= found.keys()
            if not missing:
                return
        trouble = source.trouble
    reason = _GONE if trouble is None else f"The source cannot be read any more: {trouble}"
    await _store(engine, run, subject, {name: {"gone": reason} for name in missing})


async def _store(engine: AsyncEngine, run: Run, subject: str, found: dict[str, dict[str, Any]]) -> None:
    async with engine.begin() as connection:
        for record_id, values in found.items():
            await labels.keep_contents(connection, run.run_id, subject, record_id, values)
