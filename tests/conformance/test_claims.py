"""Tests what every store of claims must do."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.journal import claims as module
from loom_ai.journal.claims import Claim, MemoryClaims
from loom_ai.ports import Payer
from loom_ai.stores.beside_journal import open_claims
from loom_dev.waiting import within
from support.journal_tables import stored

ANN, BEN = Payer("run_1", "ann"), Payer("run_1", "b\x00en")


def claims_of(payer: Payer, *keys: str) -> list[Claim]:
    return [Claim.of(key, payer) for key in keys]


@pytest.fixture(params=["memory", "postgres", "redis"])
async def address(request, tmp_path):
    async with stored(request, tmp_path) as url:
        yield url


@pytest.fixture
async def workers(address):
    """Provide two workers' views of the same claims."""
    one = open_claims(address) or MemoryClaims()
    other = open_claims(address) or one
    yield one, other
    await one.close()
    await other.close()


async def test_a_question_is_one_records_to_ask(workers):
    one, other = workers
    assert await one.take(claims_of(ANN, "a", "b")) == [True, True]
    assert await other.take(claims_of(BEN, "b", "c", "a")) == [False, True, False]
    assert await one.take(claims_of(ANN, "c")) == [False]


async def test_a_record_that_is_delivered_again_need_not_wait_for_itself(workers):
    one, other = workers
    await one.take(claims_of(ANN, "a"))
    assert await other.take(claims_of(ANN, "a")) == [True]
    assert await other.take(claims_of(BEN, "a")) == [False]


async def test_what_is_let_go_is_free_and_nobody_lets_go_of_anothers(workers):
    one, other = workers
    await one.take(claims_of(ANN, "a", "b"))
    await other.release(claims_of(BEN, "a", "b", "c"))
    assert await other.take(claims_of(BEN, "a", "b")) == [False, False]
    await one.release(claims_of(ANN, "a"))
    assert await other.take(claims_of(BEN, "a", "b")) == [True, False]


async def test_of_many_that_want_it_at_once_each_question_has_one_that_asks(workers):
    keys = [f"k{number}" for number in range(20)]
    wanting = [(workers[n % 2], Payer("run_1", str(n)), keys if n % 3 else keys[::-1]) for n in range(12)]
    taken = await asyncio.gather(*(worker.take(claims_of(payer, *mine)) for worker, payer, mine in wanting))
    assert sum(map(sum, taken)) == len(keys)


async def test_a_claim_outlives_its_lease_only_where_it_is_taken_anew(workers, monkeypatch):
    for store in ("redis", "sql"):
        monkeypatch.setattr(f"loom_ai.stores.{store}.claims.LEASE_SECONDS", 3.0)
    monkeypatch.setattr(module, "LEASE_SECONDS", 3.0)
    one, other = workers
    await one.take(claims_of(ANN, "a", "b"))
    kept = 0
    async with within(30):
        while (await other.take(claims_of(BEN, "b")))[0] is False:
            assert await one.take(claims_of(ANN, "a")) == [True]
            kept += 1
            await asyncio.sleep(0.05)
    assert kept
    assert await other.take(claims_of(BEN, "a")) == [False]
