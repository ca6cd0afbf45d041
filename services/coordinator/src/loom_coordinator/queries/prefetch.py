"""Queries the prefetch limits of a cluster's queues."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from loom_common import flow
from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.monitoring import prefetch_limits
from loom_coordinator.flow_control import fleet_load


@dataclass(frozen=True, slots=True)
class PrefetchLimit(Shown):
    """Says how many messages of a queue one replica may have in flight."""

    service: str
    queue: str
    prefetch: int
    """The number of messages."""
    by_hand: bool
    """Tells whether a person set it; the coordinator sets it otherwise."""
    reason: str
    """Says why it is what it is, in a sentence."""
    changed_at: dt.datetime
    in_force: Sequence[int]
    """Says what the replicas say; more than one limit while a new one is on its way."""


async def limits(connection: AsyncConnection, now: dt.datetime) -> list[PrefetchLimit]:
    """Return the limits, in the order of the queues in `flow.CONSUMERS`, with those of
    steps last."""
    loads = fleet_load.loads(await fleet_load.read(connection, now))
    names = ("service", "queue", "prefetch", "by_hand", "reason", "changed_at")
    rows = (await connection.execute(select(*(prefetch_limits.c[name] for name in names)))).mappings().all()
    order = list(flow.CONSUMERS)
    return [
        PrefetchLimit(**row, in_force=list(loads[row["queue"]].prefetch) if row["queue"] in loads else [])
        for row in sorted(rows, key=lambda row: (*order, row["queue"]).index(row["queue"]))
    ]
