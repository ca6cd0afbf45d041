"""Queries a whole cluster at one moment: its services and queues, its runs, and the batch that waits longest."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from loom_common import flow
from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import BreakerBeat
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import TopologyMissing
from loom_common.ports.bus import Bus
from loom_coordinator.accounting.batches import IS_UNDERWAY
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.monitoring import prefetch_limits
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import batches, outbox
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import fleet_load, own_queues
from loom_coordinator.flow_control.fleet_load import FleetLoad, Replica
from loom_coordinator.flow_control.scale_advice import Advice, Measured, advise
from loom_coordinator.lifecycle import slices
from loom_coordinator.queries.batches import records_per_second, waits_for

Depths = Mapping[str, int | None]
"""Messages ready, by queue; None for a queue that does not exist."""
_MOST_ADVISED = 20
"""The most runs for which it is said what they need."""
_A_DAY = 86_400.0
_NOT_KNOWN = Advice(
    None, None, None, "How many records it will have is not known before its source is read to the end."
)


@dataclass(frozen=True, slots=True)
class QueueLine(Shown):
    """Describes one queue and the service that consumes it. The coordinator's queues have no counts per message,
    because it takes facts in groups."""

    service: str
    queue: str
    replicas: int
    """Counts the replicas that are up."""
    lost: int
    """The number of replicas of the service that fell silent without having been asked to stop."""
    prefetch: Sequence[int]
    """Every limit in force; more than one while a new limit is on its way."""
    by_hand: bool
    """Tells whether a person set the limit."""
    ready: int | None
    """The number of messages that no consumer has yet; None where the queue does not exist."""
    in_hand: int | None
    """Messages that were delivered and are not acknowledged."""
    retrying: int | None
    """The number of messages in the queue's retry queues; None where it has none."""
    handled_per_second: float | None
    failed_per_second: float | None
    seconds: float | None
    """Mean time in the handler."""
    memory: float | None
    """The share of its memory limit that the fullest replica holds, from 0 to 1; None without a limit."""
    away: Sequence[str]
    """Upstreams whose breaker is not closed."""


@dataclass(frozen=True, slots=True)
class ReplicaLine(Shown):
    """Describes one process of a service."""

    replica: str
    service: str
    state: str
    """`up`, `draining`, or `lost` where it fell silent without having been asked to stop."""
    uptime_seconds: float
    silent_seconds: float
    """The number of seconds since its last heartbeat."""
    in_hand: int
    prefetch: Mapping[str, int]
    """Holds the replica's prefetch limit, by queue."""
    handled: int
    """The number of messages since its start; so are the next two."""
    retried: int
    failed: int
    rss_bytes: int
    memory_limit_bytes: int | None
    breakers: Sequence[BreakerBeat]


@dataclass(frozen=True, slots=True)
class OldestBatch(Shown):
    """Describes the batch in flight of a running run that has been silent for longest."""

    run_id: str
    batch_id: str
    waits_for: str
    """The stage that is to come, or `quarantine`."""
    seconds: float
    """The time since its last fact."""


@dataclass(frozen=True, slots=True)
class Overview(Shown):
    """Describes a cluster at one moment."""

    at: dt.datetime
    queues: Sequence[QueueLine]
    replicas: Sequence[ReplicaLine]
    runs: Mapping[str, int]
    """Says how many, by status."""
    oldest: OldestBatch | None
    dead: int | None
    """Dead letters; None where their queue does not exist."""
    outbox: int
    """The number of messages that are committed and not yet published."""


async def depths(bus: Bus, of_steps: Sequence[str] = ()) -> dict[str, int | None]:
    """Return messages ready, by queue of the topology, and of those queues of steps. Raises `DependencyUnavailable`."""

    async def one(queue: str) -> int | None:
        try:
            return await bus.depth(queue)
        except TopologyMissing:
            return None

    names = [*(queue.name for queue in flow.TOPOLOGY.queues), *own_queues.with_retries(of_steps)]
    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


async def queues_of_steps(connection: AsyncConnection, now: dt.datetime) -> tuple[str, ...]:
    """Return the queues of steps that are in use: those of runs that go on, and those that are consumed."""
    return await own_queues.queues_in_use(connection, fleet_load.loads(await fleet_load.read(connection, now)))


async def overview(connection: AsyncConnection, now: dt.datetime, ready: Depths) -> Overview:
    """Return an overview of the cluster now. `ready` is what `depths` returned."""
    fleet = await fleet_load.read(connection, now)
    by_hand = select(prefetch_limits.c.queue).where(prefetch_limits.c.by_hand)
    fixed = set((await connection.execute(by_hand)).scalars())
    loads = fleet_load.loads(fleet)
    queues = [*flow.CONSUMERS, *(each for each in sorted({*ready, *loads}) if flow.is_of_a_step(each))]
    counted = select(pipeline_runs.c.status, func.count()).group_by(pipeline_runs.c.status)
    return Overview(
        at=now,
        queues=[queue_line(each, loads.get(each), fleet, ready, by_hand=each in fixed) for each in queues],
        replicas=[replica_line(each) for each in fleet if each.up or each.lost],
        runs={row[0]: row[1] for row in await connection.execute(counted)},
        oldest=await _oldest(connection, now),
        dead=ready[flow.DEAD_QUEUE],
        outbox=(await connection.execute(select(func.count()).select_from(outbox))).scalar_one(),
    )


@dataclass(frozen=True, slots=True)
class RunAdvice(Shown):
    """Says how many transformers a run needs to be done in time."""

    run_id: str
    pipeline: str
    remaining: int | None
    """The number of records that have not come to their end; None where it is not known."""
    within: float
    """The seconds until the run's limit of time."""
    advice: Advice


async def scale_advice(connection: AsyncConnection, now: dt.datetime, ready: Depths) -> list[RunAdvice]:
    """Return what the runs that go on need to be done before their limit of time, the oldest first."""
    running = run_rows.RUNS.where(pipeline_runs.c.status == run_rows.RUNNING).order_by(pipeline_runs.c.started_at)
    found = []
    for run in [Run.of(row) for row in (await connection.execute(running.limit(_MOST_ADVISED))).mappings()]:
        within = max(1.0, (run.deadline - now).total_seconds()) if run.deadline is not None else _A_DAY
        measured = await measure(UnitOfWork(connection, now, None), run, ready)
        advice = _NOT_KNOWN if measured is None else advise(measured, within)
        remaining = None if measured is None else measured.remaining
        found.append(RunAdvice(run.run_id, run.pipeline_name, remaining, within, advice))
    return found


async def measure(unit: UnitOfWork, run: Run, ready: Depths, records: int | None = None) -> Measured | None:
    """Return how a run goes now, which has so many `records` in all; None where that is not said, and not known before
    its source is read to the end."""
    if records is None and not await slices.exhausted(unit, run.run_id):
        return None
    tally = run.totals.tally
    waiting = {stage: ready.get(flow.work_queue(stage)) or 0 for stage in flow.Stage}
    most = max(waiting, key=lambda stage: waiting[stage])
    loads = fleet_load.loads(await fleet_load.read(unit.connection, unit.now))
    transformers = loads.get(flow.work_queue(flow.Stage.TRANSFORM))
    return Measured(
        remaining=(tally.entered if records is None else max(records + tally.derived, tally.entered)) - tally.ended,
        rate=records_per_second(unit.now, run),
        transformers=transformers.replicas if transformers else 0,
        waits_for=most if waiting[most] else None,
    )


def queue_line(
    queue: str, each: FleetLoad | None, fleet: Sequence[Replica], ready: Depths, *, by_hand: bool
) -> QueueLine:
    """Return one queue, from the load of its consumers. Pure."""
    service = flow.consumer_of(queue)
    counted = each if service != "coordinator" else None
    retry_queues = [name for name in ready if name.startswith(f"{queue}.retry.")]
    return QueueLine(
        service=service,
        queue=queue,
        replicas=each.replicas if each else 0,
        lost=sum(replica.lost for replica in fleet if replica.beat.service == service),
        prefetch=list(each.prefetch) if each else [],
        by_hand=by_hand,
        ready=ready.get(queue),
        in_hand=counted.in_flight if counted else None,
        retrying=sum(ready[name] or 0 for name in retry_queues) if retry_queues else None,
        handled_per_second=counted.handled if counted else None,
        failed_per_second=counted.failed if counted else None,
        seconds=counted.seconds if counted else None,
        memory=each.memory if each and each.memory else None,
        away=list(each.away) if each else [],
    )


def replica_line(each: Replica) -> ReplicaLine:
    """Return one process, from its newest heartbeat. Pure."""
    beat = each.beat
    return ReplicaLine(
        replica=beat.replica,
        service=beat.service,
        state="lost" if each.lost else "draining" if beat.draining else "up",
        uptime_seconds=beat.uptime,
        silent_seconds=each.silent,
        in_hand=sum(queue.in_hand for queue in beat.queues),
        prefetch={queue.queue: queue.prefetch for queue in beat.queues},
        handled=sum(queue.handled for queue in beat.queues),
        retried=sum(queue.retried for queue in beat.queues),
        failed=sum(queue.failed for queue in beat.queues),
        rss_bytes=beat.rss_bytes,
        memory_limit_bytes=beat.memory_limit_bytes,
        breakers=beat.breakers,
    )


async def _oldest(connection: AsyncConnection, now: dt.datetime) -> OldestBatch | None:
    rows = await connection.execute(
        select(batches.c.run_id, batches.c.batch_id, batches.c.stage, batches.c.updated_at)
        .join(pipeline_runs, pipeline_runs.c.run_id == batches.c.run_id)
        .where(IS_UNDERWAY, pipeline_runs.c.status == "running")
        .order_by(batches.c.updated_at)
        .limit(1)
    )
    if (row := rows.one_or_none()) is None:
        return None
    run_id, batch_id, stage, updated_at = row
    return OldestBatch(run_id, batch_id, waits_for(flow.Stage(stage)), (now - updated_at).total_seconds())
