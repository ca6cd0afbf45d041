"""Publishes what units of work leave in the outbox.

That of an embedded engine is a list: its messages go to a bus in the same process, and end with it. What was not
published then follows from the rows of the run, when it is resumed. A database that is not in the process, too, may
have committed what it could not tell any more; so there the messages are rows, as in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
from loom_coordinator.db.unit_of_work import NAME, UnitOfWork, begin

_GROUP = 100
_FIRST = (
    select(outbox.c.id)
    .where(outbox.c.owner.is_not_distinct_from(bindparam("mine", type_=outbox.c.owner.type)))
    .order_by(outbox.c.id)
    .limit(_GROUP)
    .with_for_update(skip_locked=True)
    .cte("first")  # which is carried out once, whatever the plan of the rest is
)
_TAKE = delete(outbox).where(outbox.c.id.in_(select(_FIRST.c.id))).returning(outbox)
_LOOK_SECONDS = 1.0
"""Says how often to look for rows that another process left behind."""


class OutboxRelay:
    """Opens units, and publishes their messages after the commit: with confirms, and then the rows are gone.

    Several coordinators share the table: each takes rows no other holds (`SKIP LOCKED`), by state and never by
    `id > cursor`, since ids become visible out of order. A crash between the confirms and the commit publishes
    again."""

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
        self._committed: list[Wire] = []
        """Holds what was committed and not yet published, where that is kept in memory."""

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[UnitOfWork]:
        """Open a transaction; what it sends is published soon after it is committed."""
        taken: list[Wire] = []
        async with begin(self._engine, self._clock.now(), self._owner) as unit:
            yield unit
            if self._in_memory:
                taken = [encode(each, NAME, hands_over=self._bus.hands_over) for each in unit.taken()]
        self._committed += taken
        self._metrics.add(unit.observed)
        for run in unit.ended:
            tracer().run_ended(run)
        if unit.sends or taken:
            self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`, then once more, so that nothing committed stays unsaid."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._relay_all()
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait({waking, stopping}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                self._wake.clear()
            await self._relay_all()
        finally:
            stopping.cancel()

    async def _relay_all(self) -> None:
        try:
            while await self._relay_group():
                pass
        except DependencyUnavailable as error:
            log.warning("outbox waits", error=str(error))

    async def _relay_group(self) -> bool:
        if self._in_memory:
            return await self._relay_committed()
        async with begin(self._engine, self._clock.now(), self._owner) as unit:
            rows = (await unit.connection.execute(_TAKE, {"mine": self._owner})).mappings().all()
            if rows:
                await self._bus.publish([_wire(row) for row in sorted(rows, key=lambda row: row["id"])])
                await failpoints.reach("mid_relay")
        return len(rows) == _GROUP

    async def _relay_committed(self) -> bool:
        """Publish what was committed, as it is kept in memory. Return whether more was committed meanwhile."""
        if wires := self._committed[:]:
            await self._bus.publish(wires)
            await failpoints.reach("mid_relay")
            del self._committed[: len(wires)]
        return bool(self._committed)


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
