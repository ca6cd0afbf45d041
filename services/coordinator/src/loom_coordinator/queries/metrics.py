"""Reads what the coordinator can tell of the whole fleet, when somebody asks for its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Select, func, select

from loom_common.async_engine import AsyncEngine
from loom_common.flow import TOPOLOGY, Stage
from loom_common.ports.bus import Bus
from loom_common.ports.clock import Clock
from loom_common.worker.consuming.stats import Distribution, Reading
from loom_coordinator.accounting.batches import IS_UNDERWAY
from loom_coordinator.db import run_rows as runs
from loom_coordinator.db.pipeline_metrics import PipelineMetrics, nothing_yet
from loom_coordinator.db.tables.quality import quality_results
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.db.tables.work import batches, outbox
from loom_coordinator.db.unit_of_work import UnitOfWork, begin
from loom_coordinator.flow_control import fleet_load, own_queues

_STATUSES = (runs.RUNNING, runs.PAUSED, runs.SUCCEEDED, runs.PARTIAL, runs.FAILED, runs.CANCELLED)

_MOST_PIPELINES = 250
"""The most pipelines, those entered last, whose series are there before their first run ends."""


class Gauges:
    """Looks up groups of numbers; where one cannot be looked up, the others still can. All raise
    `DependencyUnavailable`."""

    def __init__(self, engine: AsyncEngine, bus: Bus, clock: Clock, metrics: PipelineMetrics) -> None:
        self._engine = engine
        self._bus = bus
        self._clock = clock
        self._metrics = metrics

    async def runs(self) -> Sequence[Reading]:
        """Runs by status; batches in flight by the stage that is done with them; messages that wait to be said."""
        status, stage = pipeline_runs.c.status, batches.c.stage
        counted_runs = select(status, func.count()).group_by(status)
        counted_batches = select(stage, func.count()).where(IS_UNDERWAY).group_by(stage)
        async with begin(self._engine, self._clock.now(), None) as unit:
            by_status = await _counts(unit, counted_runs)
            by_stage = await _counts(unit, counted_batches)
            unsaid = (await unit.connection.execute(select(func.count()).select_from(outbox))).scalar_one()
        return [
            *_zero_filled("loom_runs", "Runs by status.", "status", _STATUSES, by_status),
            *_zero_filled("loom_batches_in_flight", "By the last stage done.", "stage", Stage, by_stage),
            Reading("loom_outbox_messages", "Committed and not yet published.", unsaid),
        ]

    async def quality(self) -> Sequence[Reading]:
        """Return records that missed a quality check, in the newest ended run of each pipeline."""
        ended, found = pipeline_runs.c, quality_results.c
        newest = (
            select(ended.pipeline_name, func.max(ended.completed_at).label("at"))
            .where(ended.run_id.in_(select(found.run_id)))
            .group_by(ended.pipeline_name)
            .subquery()
        )
        of_newest = (ended.pipeline_name == newest.c.pipeline_name) & (ended.completed_at == newest.c.at)
        query = (
            select(ended.pipeline_name, found.stage, found.check_name, found.missed)
            .select_from(quality_results.join(pipeline_runs, ended.run_id == found.run_id).join(newest, of_newest))
            .order_by(ended.pipeline_name, found.position)
        )
        async with begin(self._engine, self._clock.now(), None) as unit:
            rows = (await unit.connection.execute(query)).all()
        meaning = "Records that missed a quality check in the newest ended run."
        return [
            Reading("loom_quality_missed_records", meaning, missed, {"pipeline": name, "stage": stage, "check": check})
            for name, stage, check, missed in rows
        ]

    async def pipelines(self) -> Sequence[Reading | Distribution]:
        """Return what the runs of each pipeline came to, as far as this coordinator has committed it."""
        newest = select(pipelines.c.name).order_by(pipelines.c.updated_at.desc()).limit(_MOST_PIPELINES)
        async with begin(self._engine, self._clock.now(), None) as unit:
            names = (await unit.connection.execute(newest)).scalars().all()
        for name in names:
            self._metrics.add(nothing_yet(name, sorted(runs.TERMINAL), [*Stage]))
        return self._metrics.readings()

    async def queues(self) -> Sequence[Reading]:
        """Return messages ready, by queue, retry queues included, and those of steps that have their own. AMQP does not
        report unacknowledged ones: their number is the sum of `loom_messages_in_flight` over the replicas."""
        depths = {queue.name: await self._bus.depth(queue.name) for queue in TOPOLOGY.queues}
        async with begin(self._engine, self._clock.now(), None) as unit:
            loads = fleet_load.loads(await fleet_load.read(unit.connection, unit.now))
            of_steps = await own_queues.queues_in_use(unit.connection, loads)
        for queue in own_queues.with_retries(of_steps):
            depths[queue] = await own_queues.ready_in(self._bus, queue)
        return _zero_filled("loom_queue_messages_ready", "Waiting in the broker.", "queue", depths, depths)


async def _counts(unit: UnitOfWork, counted: Select[str, int]) -> dict[str, int]:
    rows = await unit.connection.execute(counted)
    return {row[0]: row[1] for row in rows}


def _zero_filled(name: str, meaning: str, label: str, known: Iterable[str], counts: Mapping[str, int]) -> list[Reading]:
    """Return a reading for each of what is `known` and of what was counted: an alarm needs the zeros."""
    return [Reading(name, meaning, counts.get(each, 0), {label: each}) for each in dict.fromkeys((*known, *counts))]
