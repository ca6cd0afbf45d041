"""Counts how many records the cascades of a run decided by their cheap tier alone.

What a cascade decided is counted by batch, as quality checks are, so that a fact that comes again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import CascadeSummary, StageCalls
from loom_common.domain.section import items, said
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.quality import quality_counts


async def summaries(connection: AsyncConnection, run: Run, spent: Sequence[StageCalls]) -> tuple[CascadeSummary, ...]:
    """Return what the cascades of a run have come to, as far as it has come."""
    if not _has_cascades(run.definition):
        return ()
    from loom_coordinator.accounting.cascades import savings

    table = quality_counts.c
    rows = await connection.execute(
        select(table.stage, table.check_name, func.sum(table.seen), func.sum(table.missed))
        .where(table.run_id == run.run_id, table.stage.in_([Stage.TRANSFORM, Stage.EVALUATE]))
        .group_by(table.stage, table.check_name)
    )
    counts = {(stage, name): (int(seen), int(asked)) for stage, name, seen, asked in rows}
    return tuple(savings.summed_up(tallies.definition(run), counts, spent, run.promises or {}))


def _has_cascades(definition: Mapping[str, Any]) -> bool:
    evaluators = items(said(definition, "evaluate"), "evaluators")
    return any(said(each, "cascade") is not None for each in (said(definition, "transform"), *evaluators))
