"""The whole of a cluster at one look: its services and queues, its runs, and what waits longest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from loom_common import flow
from loom_common.errors import TopologyMissing
from loom_common.ports.bus import Bus
from loom_coordinator.accounting.batches import UNDERWAY
from loom_coordinator.db.tables import batches, outbox, pipeline_runs, prefetch_limits
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import fleet_load
from loom_coordinator.flow_control.fleet_load import FleetLoad, Replica


async def depths(bus: Bus) -> dict[str, int | None]:
    """Messages ready, by queue; None for a queue that is not there."""

    async def one(queue: str) -> int | None:
        try:
            return await bus.depth(queue)
        except TopologyMissing:
            return None

    names = [queue.name for queue in flow.TOPOLOGY.queues]
    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


async def overview(unit: UnitOfWork, ready: Mapping[str, int | None]) -> dict[str, Any]:
    """Of `ready`, what `depths` told."""
    fleet = await fleet_load.read(unit.connection, unit.now)
    by_hand = select(prefetch_limits.c.queue).where(prefetch_limits.c.by_hand)
    fixed = set((await unit.connection.execute(by_hand)).scalars())
    loads = fleet_load.loads(fleet)
    counted = select(pipeline_runs.c.status, func.count()).group_by(pipeline_runs.c.status)
    return {
        "at": unit.now,
        "queues": [
            queue_words(queue, loads.get(queue), fleet, ready, by_hand=queue in fixed) for queue in flow.CONSUMERS
        ],
        "replicas": [replica_words(each) for each in fleet if each.up or each.lost],
        "runs": {row[0]: row[1] for row in await unit.connection.execute(counted)},
        "oldest": await _oldest(unit),
        "dead": ready[flow.DEAD_QUEUE],
        "outbox": (await unit.connection.execute(select(func.count()).select_from(outbox))).scalar_one(),
    }


def queue_words(
    queue: str, each: FleetLoad | None, fleet: list[Replica], ready: Mapping[str, int | None], *, by_hand: bool
) -> dict[str, Any]:
    """One queue and its consumers. The coordinator's own queues have no counts: it takes facts in groups."""
    service = flow.CONSUMERS[queue]
    counts = each is not None and service != "coordinator"
    rooms = [name for name in ready if name.startswith(f"{queue}.retry.")]
    return {
        "service": service,
        "queue": queue,
        "replicas": each.replicas if each else 0,
        "lost": sum(replica.lost for replica in fleet if replica.beat.service == service),
        "prefetch": list(each.prefetch) if each else [],
        "by_hand": by_hand,
        "ready": ready.get(queue),
        "in_hand": each.in_hand if each and counts else None,
        "retrying": sum(ready[name] or 0 for name in rooms) if rooms else None,
        "handled_per_second": each.handled if each and counts else None,
        "failed_per_second": each.failed if each and counts else None,
        "seconds": each.seconds if each and counts else None,
        "memory": each.memory if each and each.memory else None,
        "away": list(each.away) if each else [],
    }


def replica_words(each: Replica) -> dict[str, Any]:
    """One process."""
    beat = each.beat
    return {
        "replica": beat.replica,
        "service": beat.service,
        "state": "lost" if each.lost else "draining" if beat.draining else "up",
        "uptime_seconds": beat.uptime,
        "silent_seconds": each.silent,
        "in_hand": sum(queue.in_hand for queue in beat.queues),
        "prefetch": {queue.queue: queue.prefetch for queue in beat.queues},
        "handled": sum(queue.handled for queue in beat.queues),
        "retried": sum(queue.retried for queue in beat.queues),
        "failed": sum(queue.failed for queue in beat.queues),
        "rss_bytes": beat.rss_bytes,
        "memory_limit_bytes": beat.memory_limit_bytes,
        "breakers": [breaker.model_dump() for breaker in beat.breakers],
    }


async def _oldest(unit: UnitOfWork) -> dict[str, Any] | None:
    """The batch in flight of a running run that was not heard of for longest."""
    rows = await unit.connection.execute(
        select(batches.c.run_id, batches.c.batch_id, batches.c.stage, batches.c.updated_at)
        .join(pipeline_runs, pipeline_runs.c.run_id == batches.c.run_id)
        .where(batches.c.state == UNDERWAY, pipeline_runs.c.status == "running")
        .order_by(batches.c.updated_at)
        .limit(1)
    )
    if (row := rows.mappings().one_or_none()) is None:
        return None
    coming = flow.Stage(row["stage"]).next
    return {
        "run_id": row["run_id"],
        "batch_id": row["batch_id"],
        "waits_for": coming.value if coming else "quarantine",
        "seconds": (unit.now - row["updated_at"]).total_seconds(),
    }
