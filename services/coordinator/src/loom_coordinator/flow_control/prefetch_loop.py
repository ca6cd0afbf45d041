"""Sets the prefetch limits: decides every few seconds, writes down what it decided, and tells every replica.

The limits are in `prefetch_limits`, with what the next decision must remember, so that any coordinator may take it. The
one that gets a row's lock decides it, once per round, and all of them broadcast it. A limit that a person set stays."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import fields, replace

from sqlalchemy import bindparam, delete, select, update

from loom_common import flow
from loom_common.adapters.wrapped.facts_together import READS_TOGETHER
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import PrefetchLimit
from loom_common.errors import DependencyUnavailable, TopologyMissing
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Wire
from loom_common.service.periodic import every
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import prefetch_limits
from loom_coordinator.db.unit_of_work import NAME, UnitOfWork
from loom_coordinator.flow_control import fleet_load, run_windows
from loom_coordinator.flow_control.fleet_load import FleetLoad
from loom_coordinator.flow_control.prefetch_rules import MOST, Setting, Signals, decide

ROUND_SECONDS = 3.0
_FORGET_SECONDS = 60.0
"""A limit nobody set by hand goes with the last consumer of its queue."""

QUEUES = frozenset(queue for queue, service in flow.CONSUMERS.items() if service != NAME)
"""Holds the queues that have a limit: those of the stages and of the quarantine, and besides those of steps. The
coordinator takes what there is."""

_SETTING = tuple(prefetch_limits.c[field.name] for field in fields(Setting))
_UNDECIDED = (
    select(prefetch_limits.c.queue, prefetch_limits.c.changed_at, *_SETTING)
    .where(prefetch_limits.c.by_hand.is_(False), prefetch_limits.c.decided_at < bindparam("due"))
    .order_by(prefetch_limits.c.queue)
    .with_for_update(skip_locked=True)
)


class PrefetchLoop:
    """Runs beside the coordinator's other loops."""

    def __init__(self, bus: Bus, outbox: OutboxRelay, *, facts_together: bool = True) -> None:
        """`facts_together` says whether replicas may publish facts of several batches as one message."""
        self._bus = bus
        self._facts_together = facts_together
        self._outbox = outbox

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        async for _ in every(ROUND_SECONDS, stop):
            try:
                await self._round()
            except (DependencyUnavailable, TopologyMissing) as error:
                log.warning("prefetch limits wait", error=str(error))

    async def _round(self) -> None:
        async with self._outbox.unit() as unit:
            loads = fleet_load.loads(await fleet_load.read(unit.connection, unit.now))
        signals = {
            queue: signals_of(each, await self._bus.depth(queue))
            for queue, each in loads.items()
            if queue in QUEUES or flow.is_of_a_step(queue)
        }
        async with self._outbox.unit() as unit:
            await _enter(unit, signals)
            await _decide(unit, signals)
            await _forget(unit)
            await run_windows.follow_the_fleet(unit, loads)
            rows = (await unit.connection.execute(select(prefetch_limits))).mappings().all()
        together = self._facts_together
        await self._bus.publish([told(row["queue"], row["prefetch"], facts_together=together) for row in rows])


def signals_of(each: FleetLoad, ready: int) -> Signals:
    """Return what a decision looks at."""
    return Signals(
        ready=ready,
        in_flight=each.in_flight,
        replicas=each.replicas,
        configured=each.configured,
        rate=each.handled,
        seconds=each.seconds,
        memory=each.memory,
        away=each.away,
    )


def told(queue: str, prefetch: int, *, facts_together: bool = False) -> Wire:
    """Tell every replica that consumes the queue, also whether facts may be put together. That is a header, because an
    earlier version takes no message with a field that it does not know."""
    service = flow.consumer_of(queue)
    message = PrefetchLimit(service=service, queue=queue, prefetch=prefetch)
    wire = encode(Outgoing(flow.control(service), message, mandatory=False), NAME)
    return replace(wire, headers={**wire.headers, READS_TOGETHER: 1}) if facts_together else wire


async def set_by_hand(unit: UnitOfWork, queue: str, prefetch: int) -> None:
    """Set a limit that nobody but a person changes from now on."""
    await unit.upsert(prefetch_limits, [_row(unit, queue, Setting(prefetch, reason="set by hand"), by_hand=True)])


async def set_free(unit: UnitOfWork, queue: str) -> None:
    """Let a limit that was set by hand be decided again, from where it stands."""
    await unit.connection.execute(
        update(prefetch_limits)
        .where(prefetch_limits.c.queue == queue, prefetch_limits.c.by_hand)
        .values(by_hand=False, reason="was set by hand", changed_at=unit.now)
    )


async def _enter(unit: UnitOfWork, signals: Mapping[str, Signals]) -> None:
    rows = [
        _row(unit, queue, Setting(min(MOST, each.configured)), by_hand=False) for queue, each in sorted(signals.items())
    ]
    await unit.upsert(prefetch_limits, rows, update=())


async def _decide(unit: UnitOfWork, signals: Mapping[str, Signals]) -> None:
    due = unit.now - dt.timedelta(seconds=ROUND_SECONDS / 2)
    mine = await unit.connection.execute(_UNDECIDED, {"due": due})
    for queue, changed_at, *setting in mine.all():
        if queue in signals:
            await _decide_one(unit, queue, Setting(*setting), changed_at, signals[queue])


async def _decide_one(unit: UnitOfWork, queue: str, before: Setting, changed_at: dt.datetime, signals: Signals) -> None:
    after = decide(before, signals)
    if after.prefetch != before.prefetch:
        log.info("prefetch", queue=queue, limit=after.prefetch, before=before.prefetch, reason=after.reason)
    values = {
        "prefetch": after.prefetch,
        "reason": after.reason,
        "streak": after.streak,
        "hold": after.hold,
        "unhindered": after.unhindered,
        "decided_at": unit.now,
        "changed_at": unit.now if after.prefetch != before.prefetch else changed_at,
    }
    await unit.change(prefetch_limits, queue, values)


async def _forget(unit: UnitOfWork) -> None:
    since = unit.now - dt.timedelta(seconds=_FORGET_SECONDS)
    await unit.connection.execute(
        delete(prefetch_limits).where(prefetch_limits.c.by_hand.is_(False), prefetch_limits.c.decided_at < since)
    )


def _row(unit: UnitOfWork, queue: str, setting: Setting, *, by_hand: bool) -> dict[str, object]:
    return {
        "queue": queue,
        "service": flow.consumer_of(queue),
        "prefetch": setting.prefetch,
        "by_hand": by_hand,
        "reason": setting.reason,
        "streak": setting.streak,
        "hold": setting.hold,
        "unhindered": setting.unhindered,
        "decided_at": unit.now,
        "changed_at": unit.now,
    }
