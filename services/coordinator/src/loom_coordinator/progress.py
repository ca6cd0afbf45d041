"""Where a run stands, for those who watch it."""

from __future__ import annotations

from sqlalchemy import RowMapping, func, select

from loom_common.contracts.v1 import RunProgress, StageProgress
from loom_common.flow import Stage
from loom_coordinator import accounts, slicing
from loom_coordinator.tables import batches
from loom_coordinator.unit import Unit


async def progress(unit: Unit, run: RowMapping) -> RunProgress:
    """Where a run stands now."""
    run_id = run["run_id"]
    tally = await accounts.tally(unit.connection, run_id)
    worked = await _seconds(unit, run_id)
    counts = {
        Stage.EXTRACT: (tally.extracted, tally.extracted),
        Stage.TRANSFORM: (tally.extracted, tally.transformed),
        Stage.EVALUATE: (tally.transformed, tally.passed + tally.rejected),
        Stage.LOAD: (tally.passed, tally.loaded),
    }
    return RunProgress(
        run_id=run_id,
        pipeline=run["pipeline_name"],
        epoch=run["epoch"],
        status=run["status"],
        tally=tally,
        total=tally.extracted if await slicing.exhausted(unit, run_id) else None,
        stages={
            stage: StageProgress(records_in=entered, records_out=left, seconds=worked.get(stage, 0.0))
            for stage, (entered, left) in counts.items()
        },
        elapsed=(unit.now - run["started_at"]).total_seconds(),
        notice=run["notice"],
        reason=run["reason"],
    )


async def _seconds(unit: Unit, run_id: str) -> dict[Stage, float]:
    columns = [func.sum(batches.c.seconds[stage.value].as_float()).label(stage.value) for stage in Stage]
    row = (await unit.connection.execute(select(*columns).where(batches.c.run_id == run_id))).mappings().one()
    return {stage: float(row[stage.value] or 0.0) for stage in Stage}
