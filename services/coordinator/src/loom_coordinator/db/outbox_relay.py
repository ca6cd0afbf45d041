"""Publishes what units of work send, once they are committed.

What was committed is kept in memory until it is published. In a cluster it stands in the outbox, too, for the case that
its process ends before that: another one, or the next one, finds rows there that are older than any that is about to
be published, and publishes them. Rows of messages that were published are removed many at a time.

An embedded engine whose state is a file has no such rows: its messages go to a bus in the same process, and end with
it. What was not published then follows from the rows of the run, when it is resumed. A database that is not in the
process, too, may have committed what it could not tell any more; so there the messages are rows, as in a cluster."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy import RowMapping, bindparam, delete, select

from loom_common.async_engine import AsyncEngine
from loom_common.contracts.encoding.codec import encode
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Wire
from loom_common.ports.clock import Clock
from loom_common.ports.tracing import tracer
from loom_common.resilience import failpoints
from loom_coordinator.db.pipeline_metrics import PipelineMetrics
from loom_coordinator.db.tables.work import outbox
from loom_coordinator.db.unit_of_work import NAME, Sent, UnitOfWork, begin

_GROUP = 100
_LEFT_BEHIND_SECONDS = 3.0
"""A row that is so old was left behind by a process that has ended, or that the database did not tell of its commit.
What is committed is published in some milliseconds. Where that takes longer than this, a message may be published by
two processes, which is harmless."""
_FIRST = (
    select(outbox.c.id)
    .where(
        outbox.c.owner.is_not_distinct_from(bindparam("mine", type_=outbox.c.owner.type)),
        outbox.c.created_at < bindparam("before", type_=outbox.c.created_at.type),
    )
    .order_by(outbox.c.id)
    .limit(_GROUP)
    .with_for_update(skip_locked=True)
    .cte("first")  # which is carried out once, whatever the plan of the rest is
)
_TAKE = delete(outbox).where(outbox.c.id.in_(select(_FIRST.c.id))).returning(outbox)
_REMOVE = delete(outbox).where(outbox.c.id.in_(bindparam("rows", expanding=True)))
_LOOK_SECONDS = 1.0
"""Says how often rows are removed, and others looked for that were left behind."""


class OutboxRelay:
    """Opens units, and publishes their messages after the commit, with confirms.

    Several coordinators share the table: each takes rows no other holds (`SKIP LOCKED`), by state and never by
    `id > cursor`, since ids become visible out of order. After a crash between the confirms and the removal of the rows
    their messages are published again."""

    def __init__(
        self,
        engine: AsyncEngine,
        bus: Bus,
        clock: Clock,
        owner: str | None,
        metrics: PipelineMetrics | None = None,
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._clock = clock
        self._owner = owner
        self._metrics = metrics or PipelineMetrics()
        self._wake = asyncio.Event()
        self._in_memory = owner is not None and engine.dialect.name == "sqlite"
        self._committed: list[Sent] = []
        """Holds what was committed and not yet published."""
        self._published: list[int] = []
        """Holds the rows of what was published."""
        self._looks_at = 0.0

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[UnitOfWork]:
        """Open a transaction; what it sends is published soon after it is committed."""
        async with begin(self._engine, self._clock.now(), self._owner) as unit:
            yield unit
            if self._in_memory:
                unit.sent = Sent([encode(each, NAME, hands_over=self._bus.hands_over) for each in unit.taken()])
        self._metrics.add(unit.observed)
        for run in unit.ended:
            tracer().run_ended(run)
        if unit.sent.wires:
            self._committed.append(unit.sent)
            self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`, then once more, so that nothing committed stays unsaid."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._relay()
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait({waking, stopping}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                self._wake.clear()
            self._looks_at = 0.0
            await self._relay()
        finally:
            stopping.cancel()

    async def _relay(self) -> None:
        try:
            while self._committed:
                await self._publish_committed()
            if not self._in_memory and monotonic() >= self._looks_at:
                await self._remove_published()
                while await self._publish_left_behind():
                    pass
                self._looks_at = monotonic() + _LOOK_SECONDS
        except DependencyUnavailable as error:
            log.warning("outbox waits", error=str(error))

    async def _publish_committed(self) -> None:
        committed = self._committed[:]
        await self._bus.publish([wire for sent in committed for wire in sent.wires])
        await failpoints.reach("mid_relay")
        del self._committed[: len(committed)]
        self._published += [row for sent in committed for row in sent.rows]

    async def _remove_published(self) -> None:
        """Remove the rows of what was published. Those that somebody else has removed do not matter."""
        while rows := self._published[:_GROUP]:
            async with begin(self._engine, self._clock.now(), self._owner) as unit:
                await unit.connection.execute(_REMOVE, {"rows": rows})
            del self._published[: len(rows)]

    async def _publish_left_behind(self) -> bool:
        """Publish messages whose process has not done so. Return whether there may be more."""
        before = self._clock.now() - dt.timedelta(seconds=_LEFT_BEHIND_SECONDS)
        async with begin(self._engine, self._clock.now(), self._owner) as unit:
            taken = await unit.connection.execute(_TAKE, {"mine": self._owner, "before": before})
            rows = taken.mappings().all()
            if rows:
                await self._bus.publish([_wire(row) for row in sorted(rows, key=lambda row: row["id"])])
                await failpoints.reach("mid_relay")
        return len(rows) == _GROUP


def _wire(row: RowMapping) -> Wire:
    properties = row["properties"]
    return Wire(
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        body=bytes(row["body"]),
        type=properties["type"],
        message_id=properties["message_id"],
        correlation_id=properties["correlation_id"],
        content_encoding=properties["content_encoding"],
        app_id=f"loom-{NAME}",
        headers=properties["headers"],
        mandatory=properties["mandatory"],
    )
