"""Keeps the reservation ledger in tables.

A transaction writes its run's row first and so locks it until it ends. Two replicas therefore cannot spend the same
money."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from loom_ai.budget.ledger import (
    LEASE_SECONDS,
    OWED_SECONDS,
    Decision,
    Free,
    Held,
    Request,
    ReservationResult,
    Reserve,
    SetAside,
    Settle,
    decided,
)
from loom_ai.journal.tables import budget_reservations, run_budgets
from loom_ai.stores.sql.dialects import dialect_of
from loom_ai.stores.sql.journal import trouble
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.run.budget import BudgetState
from loom_common.ports.clock import Clock, SystemClock

_WHAT = "The ledger of budgets"
_JUDGEMENTS = "judgements"
"""The holder of rows that are set aside for judging, which belong to no process."""
_KEPT = ("spent", "lost", "judged", "judging")
"""Holds the columns of a run's row that make up its budget state."""
_AT_ONCE = 500
"""The most names in one query."""


class SqlBudgets:
    """Implements a `BudgetLedger` with an engine of its own. The migrations must have created the tables."""

    def __init__(
        self, engine: AsyncEngine, place: str, clock: Clock | None = None, lease: float = LEASE_SECONDS
    ) -> None:
        self.lease = lease
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        self._holder = uuid4().hex
        self._dialect: ModuleType = dialect_of(engine)

    async def exchange(self, requests: Sequence[Request]) -> list[Decision]:
        decisions: dict[str, Decision] = {}
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                # Runs are locked in the same order everywhere, so that two replicas cannot deadlock.
                for run_id in sorted({each.run_id for each in requests}):
                    mine = [each for each in requests if each.run_id == run_id]
                    decisions |= (await self._of_run(connection, run_id, mine)).decisions
        return [decisions[each.id] for each in requests]

    async def renew(self) -> None:
        statement = (
            sa.update(budget_reservations)
            .where(budget_reservations.c.holder == self._holder)
            .values(expires_at=self._lease_end())
        )
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                await connection.execute(statement)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _of_run(self, connection: AsyncConnection, run_id: str, requests: Sequence[Request]) -> ReservationResult:
        standing = await self._lock_run(connection, run_id)
        outcome = decided(standing, await self._read_held(connection, requests), requests)
        reservations = budget_reservations.c
        for start in range(0, len(outcome.freed), _AT_ONCE):
            some = reservations.id.in_(outcome.freed[start : start + _AT_ONCE])
            await connection.execute(sa.delete(budget_reservations).where(some))
        rows = [self._row(name, run_id, self._holder, usd, self.lease) for name, usd in outcome.granted.items()]
        rows += [self._row(name, run_id, _JUDGEMENTS, usd, OWED_SECONDS) for name, usd in outcome.owed.items()]
        if rows:
            await connection.execute(sa.insert(budget_reservations), rows)
        money = {name: getattr(outcome.standing, name) for name in _KEPT}
        await connection.execute(sa.update(run_budgets).where(run_budgets.c.run_id == run_id).values(**money))
        return outcome

    async def _read_held(self, connection: AsyncConnection, requests: Sequence[Request]) -> Held:
        """Delete the reservations of settled calls and return them; the sums set aside for records are only read."""
        reservations = budget_reservations.c
        calls: frozenset[str] = frozenset()
        if settled := [each.id for each in requests if isinstance(each, Settle)]:
            gone = sa.delete(budget_reservations).where(reservations.id.in_(settled)).returning(reservations.id)
            calls = frozenset((await connection.execute(gone)).scalars())
        records = [name for each in requests if isinstance(each, Free) for name in each.records]
        records += [each.record for each in requests if isinstance(each, Reserve) and each.need.judged]
        records += [name for each in requests if isinstance(each, SetAside) for name in each.owed]
        owed: dict[str, float] = {}
        for start in range(0, len(records), _AT_ONCE):
            some = reservations.id.in_(records[start : start + _AT_ONCE])
            found = await connection.execute(sa.select(reservations.id, reservations.worst).where(some))
            owed |= {row.id: row.worst for row in found}
        return Held(calls, owed)

    async def _lock_run(self, connection: AsyncConnection, run_id: str) -> BudgetState:
        """Lock the run's row for the transaction and return its budget state.

        Reservations whose lease has ended become lost. Sums that were set aside and have expired become free."""
        now = self._clock.now()
        insert = self._dialect.insert(run_budgets).values(run_id=run_id, spent=0.0, lost=0.0, updated_at=now)
        mine = await connection.execute(
            insert.on_conflict_do_update(
                index_elements=[run_budgets.c.run_id], set_={"updated_at": insert.excluded.updated_at}
            ).returning(*(run_budgets.c[name] for name in _KEPT))
        )
        spent, lost, judged, judging = mine.one()
        reservations = budget_reservations.c
        over = sa.delete(budget_reservations).where(reservations.run_id == run_id, reservations.expires_at < now)
        ended = await connection.execute(over.returning(reservations.holder, reservations.worst))
        lost += sum(worst for holder, worst in ended if holder != _JUDGEMENTS)
        is_owed = reservations.holder == _JUDGEMENTS
        sums = [
            sa.func.coalesce(sa.func.sum(sa.case((which, reservations.worst), else_=0.0)), 0.0)
            for which in (~is_owed, is_owed)
        ]
        reserved, owed = (await connection.execute(sa.select(*sums).where(reservations.run_id == run_id))).one()
        return BudgetState(spent, lost, reserved, owed, judged, judging)

    def _row(self, name: str, run_id: str, holder: str, usd: float, seconds: float) -> dict[str, Any]:
        expires = self._clock.now() + dt.timedelta(seconds=seconds)
        return {"id": name, "run_id": run_id, "holder": holder, "worst": usd, "expires_at": expires}

    def _lease_end(self) -> dt.datetime:
        return self._clock.now() + dt.timedelta(seconds=self.lease)
