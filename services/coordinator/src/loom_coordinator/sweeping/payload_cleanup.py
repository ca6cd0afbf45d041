"""Removes what ended runs leave behind, and nobody needs any more."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import and_, case, exists, func, select

from loom_common.domain.values.stored_records import destination_of, is_owner, owns_rows
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.payloads import PayloadStore
from loom_common.service.periodic import every, wait_for_stop
from loom_coordinator.db import ingest_keys, run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.outputs import record_outputs
from loom_coordinator.db.tables.outcomes import quarantined
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

_FIRST_AFTER_SECONDS = 2.0
_EVERY_SECONDS = 60.0
_UNREAD = dt.timedelta(days=1)
"""Says for how long records are kept that no run reads: whoever stores them may not have asked for the run yet."""


class PayloadCleanup:
    """Drops the large message bodies of runs that have ended, records that were given to runs that need them no more,
    and what was kept for a time that is over. Doing it twice, or in two coordinators, is doing it once; a run that is
    resumed extracts again what it needs."""

    def __init__(self, outbox: OutboxRelay, payloads: PayloadStore) -> None:
        self._outbox = outbox
        self._payloads = payloads

    async def run(self, stop: asyncio.Event) -> None:
        """Run once a minute, until `stop`. The first time is a while after the service has begun, and as it ends where
        that is sooner: what a short run waits for comes first."""
        await wait_for_stop(stop, _FIRST_AFTER_SECONDS)
        if stop.is_set():
            await self._tidy_or_wait()
        async for _ in every(_EVERY_SECONDS, stop):
            await self._tidy_or_wait()

    async def _tidy_or_wait(self) -> None:
        try:
            await self.tidy()
        except DependencyUnavailable as error:
            log.warning("housekeeping waits", error=str(error))

    async def tidy(self) -> None:
        """Look once. Raises `DependencyUnavailable`."""
        async with self._outbox.unit() as unit:
            await record_outputs.forget_old(unit)
            await ingest_keys.forget_old(unit.connection, unit.now)
        held = await self._payloads.owners()
        if not held:
            return
        async with self._outbox.unit() as unit:
            useless = await _ended(unit, [owner for owner in held if not is_owner(owner)])
            useless += await _not_fetched(unit, {each: at for each, at in held.items() if owns_rows(each)})
            useless += await _unneeded(unit, {owner: newest for owner, newest in held.items() if is_owner(owner)})
        for owner in useless:
            await self._payloads.forget(owner)


async def _ended(unit: UnitOfWork, run_ids: Collection[str]) -> list[str]:
    """Return those of these runs that have ended."""
    runs = pipeline_runs.c
    query = select(runs.run_id).where(runs.run_id.in_(run_ids), runs.status.in_(run_rows.TERMINAL))
    return list((await unit.connection.execute(query)).scalars())


async def _not_fetched(unit: UnitOfWork, rows: Mapping[str, dt.datetime]) -> list[str]:
    """Return those of these rows, which runs give back to Python, that nobody has fetched for a day, although no run
    may add to them."""
    old = {destination_of(owner): owner for owner, newest in rows.items() if newest < unit.now - _UNREAD}
    if not old:
        return []
    runs = pipeline_runs.c
    query = select(runs.destination).where(runs.destination.in_(list(old)), runs.status.not_in(run_rows.TERMINAL))
    grown = set((await unit.connection.execute(query)).scalars())
    return [owner for destination, owner in old.items() if destination not in grown]


async def _unneeded(unit: UnitOfWork, records: Mapping[str, dt.datetime]) -> list[str]:
    """Return those of these sets of records that no run will read again: all runs that read them, replays among them,
    are over, and nothing of them waits to be replayed with other values; or no run has read them for a day."""
    if not records:
        return []
    runs = pipeline_runs.c
    waits = exists().where(quarantined.c.run_id == runs.run_id, quarantined.c.resolved.is_not(True))
    over = func.min(case((and_(run_rows.OVER, ~waits), 1), else_=0))
    query = select(runs.records, over).where(runs.records.in_(list(records))).group_by(runs.records)
    read = {owner: bool(each) for owner, each in await unit.connection.execute(query)}
    old = [owner for owner, newest in records.items() if owner not in read and newest < unit.now - _UNREAD]
    return [*(owner for owner, each in read.items() if each), *old]
