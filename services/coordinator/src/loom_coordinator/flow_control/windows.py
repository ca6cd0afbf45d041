"""The windows of running runs follow the fleet: what keeps it busy, and no more.

Queues are first in, first out. Whatever one run has in them stands before the first batch of the next run, so a window
is worth its batches only as long as they are worked off soon. Little's law says how many that is: the hands, and the
rate times the seconds that may wait before them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sqlalchemy import select

from loom_common.flow import Stage, work_queue
from loom_coordinator.db import run_rows
from loom_coordinator.db.tables import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import credit
from loom_coordinator.flow_control.fleet_load import FleetLoad

SECONDS_AHEAD = 0.5
"""Of work that waits in queues."""
HANDFULS = 1.25
"""The messages in hand at the slowest stage, and those on their way to replace them."""
_STAGES = tuple(work_queue(stage) for stage in Stage if stage is not Stage.EXTRACT)


def paced(own: int, loads: Mapping[str, FleetLoad]) -> int:
    """The window of a run that could use `own` batches at most. Its own where no fleet has been heard of. Pure."""
    stages = [loads[queue] for queue in _STAGES if queue in loads]
    if not stages:
        return own
    hands = max(each.replicas * max(each.prefetch, default=0) for each in stages)
    rate = max(each.handled for each in stages)
    return max(1, min(own, math.ceil(HANDFULS * hands + SECONDS_AHEAD * rate)))


async def pace(unit: UnitOfWork, loads: Mapping[str, FleetLoad]) -> None:
    """Set the window of every running run; of one that is locked just now, the next time."""
    columns = pipeline_runs.c
    running = await unit.connection.execute(
        select(columns.run_id, columns.slice_batches, columns.credit_window)
        .where(columns.status == run_rows.RUNNING, columns.owner.is_not_distinct_from(unit.owner))
        .order_by(columns.run_id)
        .with_for_update(skip_locked=True)
    )
    for run in running.mappings().all():
        window = paced(credit.window(run["slice_batches"]), loads)
        if window != run["credit_window"]:
            await run_rows.change(unit, run["run_id"], credit_window=window)
