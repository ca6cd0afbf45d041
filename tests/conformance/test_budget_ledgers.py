"""Tests what every ledger of budgets keeps, whichever technology holds it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt

import pytest

from loom_ai.budget.ledger import LEASE_SECONDS, OWED_SECONDS, Free, Reserve, Settle
from loom_ai.journal.tables import metadata
from loom_ai.stores.memory.budgets import MemoryBudgets
from loom_ai.stores.sql.budgets import SqlBudgets
from loom_ai.stores.sql.postgres import postgres_engine
from loom_ai.stores.sql.sqlite import sqlite_engine
from loom_common.async_engine import AsyncEngine
from loom_common.domain.run.budget import BudgetDecision, Need
from loom_common.errors import DependencyUnavailable

RUN = "run_1"


class OwnTime:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def pass_by(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


class SharedLedger:
    """Holds a ledger, opened as many times as there are replicas."""

    def __init__(self, clock, open_one) -> None:
        self.clock = clock
        self._open = open_one
        self.replicas: list = []

    def replica(self):
        self.replicas.append(self._open())
        return self.replicas[-1]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def shared(request, tmp_path):
    clock = OwnTime()
    async with contextlib.AsyncExitStack() as stack:
        match request.param:
            case "memory":
                shared = SharedLedger(clock, MemoryBudgets(clock).sibling)
            case "sqlite":
                path = tmp_path / "journal.db"
                await _create_tables(sqlite_engine(path))
                shared = SharedLedger(clock, lambda: SqlBudgets(sqlite_engine(path), str(path), clock))
            case "postgres":
                url = await stack.enter_async_context(request.getfixturevalue("postgres").database())
                await _create_tables(postgres_engine(url))
                shared = SharedLedger(clock, lambda: SqlBudgets(postgres_engine(url), "postgres", clock))
        yield shared
        for replica in shared.replicas:
            await replica.close()


async def _create_tables(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


def wish(
    name: str,
    worst: float = 0.25,
    limit: float = 1.0,
    booked: float = 0.0,
    run_id: str = RUN,
    judged: float = 0.0,
    record: str = "",
) -> Reserve:
    need = Need(worst, worst, worst, judged=judged, judging=not judged)
    return Reserve(name, run_id, need, limit, booked, record)


def verdicts(decisions) -> list[BudgetDecision]:
    return [decision.verdict for decision in decisions]


async def test_wishes_are_granted_until_the_budget_is_full(shared):
    ledger = shared.replica()
    decisions = await ledger.exchange([wish(f"w{number}") for number in range(6)])
    assert verdicts(decisions) == [BudgetDecision.GRANTED] * 4 + [BudgetDecision.WAITS] * 2


async def test_what_a_call_did_not_cost_is_there_for_the_next(shared):
    ledger = shared.replica()
    await ledger.exchange([wish(f"w{number}") for number in range(4)])
    [_, decision] = await ledger.exchange([Settle("w0", RUN, 0.25, 0.05), wish("w4", 0.2)])
    assert (decision.verdict, decision.standing.spent) == (BudgetDecision.GRANTED, 0.05)


async def test_a_call_that_needs_not_all_is_granted_what_it_needs_and_that_is_what_is_reserved(shared):
    ledger = shared.replica()
    small = Reserve("w0", RUN, Need(full=5.0, enough=0.75, least=0.1), 1.0, 0.0)
    [decision] = await ledger.exchange([small])
    assert (decision.verdict, decision.granted) == (BudgetDecision.GRANTED, 0.75)
    [decision] = await shared.replica().exchange([wish("w1", 0.5)])
    assert (decision.verdict, decision.standing.reserved) == (BudgetDecision.WAITS, 0.75)


async def test_what_a_judgement_costs_is_set_apart_once_for_each_record_until_it_is_made(shared):
    ledger, other = shared.replica(), shared.replica()
    await ledger.exchange([wish(f"w{n}", 0.1, judged=0.2, record="r0") for n in range(2)])
    [decision] = await other.exchange([wish("w2", 0.5, judged=0.2, record="r1")])
    assert (decision.verdict, decision.standing.owed) == (BudgetDecision.WAITS, pytest.approx(0.2))
    await ledger.exchange([Settle("w0", RUN, 0.1, 0.1), Settle("w1", RUN, 0.1, 0.1)])
    [judging, _, decision] = await other.exchange(
        [wish("w3", 0.8), Free(RUN, ("r0", "unknown")), wish("w4", 0.5, judged=0.2, record="r1")]
    )
    assert judging.verdict is BudgetDecision.GRANTED
    assert (decision.verdict, decision.standing.owed) == (BudgetDecision.WAITS, pytest.approx(0.0))


async def test_every_replica_sets_apart_what_judging_has_cost(shared):
    await shared.replica().exchange([Free(RUN, ("r0", "r1"), cost=0.2)])
    [decision] = await shared.replica().exchange([wish("w0", 0.1, judged=0.9, record="r2")])
    assert decision.verdict is BudgetDecision.GRANTED
    [decision] = await shared.replica().exchange([wish("w1", 0.1)])
    assert decision.standing.owed == pytest.approx(0.15)


async def test_what_is_owed_for_too_long_is_free_again_and_not_lost(shared):
    ledger = shared.replica()
    await ledger.exchange([wish("w0", 0.1, judged=0.8, record="r0")])
    await ledger.exchange([Settle("w0", RUN, 0.1, 0.1)])
    shared.clock.pass_by(OWED_SECONDS + 1)
    [decision] = await ledger.exchange([wish("w1", 0.5, judged=0.1, record="r1")])
    assert (decision.verdict, decision.standing.gone) == (BudgetDecision.GRANTED, pytest.approx(0.1))


async def test_where_nothing_is_under_way_the_budget_is_exhausted(shared):
    ledger = shared.replica()
    await ledger.exchange([wish("w0", 0.9)])
    await ledger.exchange([Settle("w0", RUN, 0.9, 0.9)])
    assert verdicts(await ledger.exchange([wish("w1", 0.2)])) == [BudgetDecision.EXHAUSTED]
    assert verdicts(await ledger.exchange([wish("w2", 0.2, limit=2.0)])) == [BudgetDecision.GRANTED]


async def test_all_replicas_share_a_budget_and_runs_do_not(shared):
    replicas = [shared.replica() for _ in range(4)]
    asked = [replica.exchange([wish(f"{n}-{m}", 0.1) for m in range(5)]) for n, replica in enumerate(replicas)]
    decisions = [each for group in await asyncio.gather(*asked) for each in verdicts(group)]
    assert decisions.count(BudgetDecision.GRANTED) == 10
    assert verdicts(await replicas[0].exchange([wish("other", 1.0, run_id="run_2")])) == [BudgetDecision.GRANTED]


async def test_what_a_dead_replica_had_reserved_counts_as_lost(shared):
    dead, alive = shared.replica(), shared.replica()
    await dead.exchange([wish("w0", 0.6)])
    shared.clock.pass_by(LEASE_SECONDS + 1)
    [decision] = await alive.exchange([wish("w1", 0.5)])
    assert (decision.verdict, decision.standing.lost, decision.standing.reserved) == (
        BudgetDecision.EXHAUSTED,
        0.6,
        0.0,
    )


async def test_a_replica_that_lives_keeps_what_it_has_reserved(shared):
    slow, other = shared.replica(), shared.replica()
    await slow.exchange([wish("w0", 0.6)])
    for _ in range(5):
        shared.clock.pass_by(LEASE_SECONDS / 2)
        await slow.renew()
    [decision] = await other.exchange([wish("w1", 0.5)])
    assert (decision.verdict, decision.standing.lost) == (BudgetDecision.WAITS, 0.0)


async def test_a_call_that_was_given_up_and_came_back_is_found_again(shared):
    slow, other = shared.replica(), shared.replica()
    await slow.exchange([wish("w0", 0.6)])
    shared.clock.pass_by(LEASE_SECONDS + 1)
    await other.exchange([wish("w1", 0.5)])
    await slow.exchange([Settle("w0", RUN, 0.6, 0.1)])
    [decision] = await other.exchange([wish("w2", 0.5)])
    assert decision.verdict is BudgetDecision.GRANTED
    assert (decision.standing.spent, decision.standing.lost) == (pytest.approx(0.1), pytest.approx(0.0))


async def test_what_was_booked_before_the_ledger_knew_of_it_is_spent(shared):
    [decision] = await shared.replica().exchange([wish("w0", 0.5, booked=0.7)])
    assert (decision.verdict, decision.standing.spent) == (BudgetDecision.EXHAUSTED, 0.7)


async def test_a_ledger_that_is_away_grants_nothing(tmp_path):
    ledger = SqlBudgets(postgres_engine("postgresql://nobody@127.0.0.1:1/none"), "127.0.0.1:1")
    with pytest.raises(DependencyUnavailable, match="The ledger of budgets at"):
        await ledger.exchange([wish("w0")])
    await ledger.close()
