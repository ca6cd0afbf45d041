"""Says what a stream with many windows came to: how dear its windows were along the way, and whether its books agree.

`bench.stream_endurance` and `bench.cluster_endurance` note a `Look` now and then, print them as a table, and fail where
windows become dearer with their number, or a number differs from another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import func, select

from loom.project.config import LoomConfig
from loom.views import open_views
from loom_common.async_engine import AsyncConnection
from loom_coordinator.db.tables.outcomes import pipeline_costs
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.queries.audit.books import books
from loom_coordinator.queries.audit.rules import differences

HEAD = (
    "| windows | kills | s/window | CPU ms/window | memory MiB | look ms | state MiB |\n|---|---|---|---|---|---|---|"
)
_LOOKS = 3
"""Says how often a look at the stream is measured; the quickest counts, as other work only makes it slower."""
_QUICK = 0.05
"""Says how many seconds a look may take without being dear: a process that begins meanwhile takes the processor."""


@dataclass(frozen=True, slots=True)
class Look:
    """Says what a stream was at after so many windows."""

    windows: int
    kills: int
    seconds: float
    """Holds the seconds of a window since the last look; so does the next of CPU seconds."""
    cpu: float
    memory: float
    """Holds the MiB of memory of all processes of Loom."""
    look: float
    """Holds the seconds that the queries of `loom status STREAM` take."""
    size: float
    """Holds the MiB of the database of run state."""

    @property
    def row(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.windows:,} | {self.kills} | {self.seconds:.3f} | {1000 * self.cpu:.1f} | {self.memory:.0f} | "
            f"{1000 * self.look:.1f} | {self.size:.0f} |"
        )


def dearer(looks: Sequence[Look], most: float) -> list[str]:
    """Return what the last third of the looks shows more than `most` times of what the first third shows. The first
    look is left out, because a process that has just begun is no measure. Pure."""
    counted = looks[1:]
    third = max(1, len(counted) // 3)
    if len(counted) < 2 * third:
        return []
    early, late = counted[:third], counted[-third:]
    figures = {
        "CPU of a window": [each.cpu for each in early] + [each.cpu for each in late],
        "memory": [each.memory for each in early] + [each.memory for each in late],
        "a look at the stream": [max(_QUICK, each.look) for each in (*early, *late)],
    }
    found = []
    for name, values in figures.items():
        before, after = min(values[:third]), min(values[third:])
        if after > most * before:
            found.append(f"{name}: {after / before:.2f} times of what it was")
    return found


def memory(pids: Mapping[str, int]) -> float:
    """Return the MiB of memory that processes hold together; those that are gone hold none."""
    total = 0.0
    for pid in pids.values():
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.Error:
            continue
    return total / 2**20


async def looked(folder: Path, pipeline: str) -> float:
    """Return the seconds that the queries of `loom status STREAM` take, from within this process."""
    import time

    found = []
    async with open_views(LoomConfig.load(folder / "loom.yaml")) as views:
        (stream,) = await views.shown_streams(pipeline)
        for _ in range(_LOOKS):
            began = time.perf_counter()
            await views.shown_stream(stream.stream_id)
            found.append(time.perf_counter() - began)
    return min(found)


async def booked(connection: AsyncConnection, pipeline: str) -> tuple[int, int, list[str]]:
    """Return the number of windows of a pipeline, the records in their rows, and what does not agree: with the audit of
    each of them, and with the days of the pipeline."""
    runs = pipeline_runs.c
    mine = (runs.pipeline_name == pipeline, runs.stream.is_not(None))
    sums = select(func.count(), func.coalesce(func.sum(runs.records_processed), 0)).where(*mine)
    count, records = (await connection.execute(sums)).one()
    wrong = []
    for run_id in (await connection.execute(select(runs.run_id).where(*mine).order_by(runs.stream_window))).scalars():
        found = differences(await books(connection, run_id, None))
        wrong += [f"{run_id}: {each.what}: {each.expected} against {each.found}" for each in found]
    days = select(func.sum(pipeline_costs.c.total_runs), func.sum(pipeline_costs.c.total_records_processed))
    told = (await connection.execute(days.where(pipeline_costs.c.pipeline_name == pipeline))).one()
    ended = (await connection.execute(sums.where(runs.completed_at.is_not(None)))).one()
    if tuple(map(int, told)) != tuple(map(int, ended)):
        wrong.append(f"days: {told[0]} runs with {told[1]} records against {ended[0]} with {ended[1]}")
    return int(count), int(records), wrong
