"""The ledger of reservations as tables. A transaction that has written a run's row has the run until it ends, so that
no two replicas can find the same money left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from types import ModuleType
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from loom_ai.budgets import LEASE_SECONDS, Decision, Outcome, Reserve, Settle, carried_out
from loom_ai.journal_tables import budget_reservations, run_budgets
from loom_ai.stores.sql import trouble
from loom_common.domain.budget import Standing
from loom_common.ports.clock import Clock, SystemClock

_WHAT = "The ledger of budgets"


class SqlBudgets:
    """A `BudgetLedger` on an engine of its own. The tables must be there: the migrations make them."""

    def __init__(
        self, engine: AsyncEngine, place: str, clock: Clock | None = None, lease: float = LEASE_SECONDS
    ) -> None:
        self.lease = lease
        self._engine = engine
        self._place = place
        self._clock = clock or SystemClock()
        self._holder = uuid4().hex
        self._dialect: ModuleType = postgresql if engine.dialect.name == "postgresql" else sqlite

    async def exchange(self, requests: Sequence[Reserve | Settle]) -> list[Decision]:
        decisions: dict[str, Decision] = {}
        with trouble(_WHAT, self._place, "written"):
            async with self._engine.begin() as connection:
                # In one order everywhere, so that two replicas with several runs cannot lock each other out.
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

    async def _of_run(self, connection: AsyncConnection, run_id: str, requests: Sequence[Reserve | Settle]) -> Outcome:
        standing = await self._locked(connection, run_id)
        settled = [each.id for each in requests if isinstance(each, Settle)]
        held: set[str] = set()
        if settled:
            gone = sa.delete(budget_reservations).where(budget_reservations.c.id.in_(settled))
            held = set((await connection.execute(gone.returning(budget_reservations.c.id))).scalars())
        outcome = carried_out(standing, held, requests)
        if outcome.granted:
            ends = self._lease_end()
            rows = [
                {"id": each.id, "run_id": run_id, "holder": self._holder, "worst": each.worst, "expires_at": ends}
                for each in outcome.granted
            ]
            await connection.execute(sa.insert(budget_reservations), rows)
        money = {"spent": outcome.standing.spent, "lost": outcome.standing.lost}
        await connection.execute(sa.update(run_budgets).where(run_budgets.c.run_id == run_id).values(**money))
        return outcome

    async def _locked(self, connection: AsyncConnection, run_id: str) -> Standing:
        """The run's money, its row locked until the transaction ends; reservations whose lease is over are lost."""
        now = self._clock.now()
        insert = self._dialect.insert(run_budgets).values(run_id=run_id, spent=0.0, lost=0.0, updated_at=now)
        mine = await connection.execute(
            insert.on_conflict_do_update(
                index_elements=[run_budgets.c.run_id], set_={"updated_at": insert.excluded.updated_at}
            ).returning(run_budgets.c.spent, run_budgets.c.lost)
        )
        spent, lost = mine.one()
        reservations = budget_reservations.c
        over = sa.delete(budget_reservations).where(reservations.run_id == run_id, reservations.expires_at < now)
        lost += sum((await connection.execute(over.returning(reservations.worst))).scalars())
        total = sa.select(sa.func.coalesce(sa.func.sum(reservations.worst), 0.0)).where(reservations.run_id == run_id)
        return Standing(spent, lost, (await connection.execute(total)).scalar_one())

    def _lease_end(self) -> dt.datetime:
        return self._clock.now() + dt.timedelta(seconds=self.lease)
