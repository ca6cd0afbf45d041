"""Who may be in flight to an endpoint, and whose place goes to another though it is."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.pacing.concurrency import Concurrency
from loom_ai.pacing.gate import LENT, OVERTAKEN, Gate
from loom_ai.pacing.pace import EndpointPacing
from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import Payer
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.memory.journal import MemoryJournal
from loom_dev.waiting import within
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel

PLACES = 4


def gate_of(places: int = PLACES, *, lends: bool = True) -> Gate:
    return Gate(Concurrency(ceiling=places, configured=not lends))


def entered(gate: Gate, lent: list[str], name: str):
    stay = gate.enter_at_once(lambda: lent.append(name))
    assert stay is not None
    return stay


def others_are_answered(gate: Gate, times: int) -> None:
    """Calls that come, are answered, and go."""
    for _ in range(times):
        stay = gate.enter_at_once(lambda: None)
        assert stay is not None
        gate.answered()
        gate.leave(stay)


def test_a_call_that_hangs_lends_its_place_once_others_have_overtaken_it():
    gate, lent = gate_of(), []
    for name in ("slow", "slower"):
        entered(gate, lent, name)
        others_are_answered(gate, 1)
    others_are_answered(gate, OVERTAKEN * PLACES - 2)
    assert lent == ["slow"]
    others_are_answered(gate, 1)
    assert lent == ["slow", "slower"]
    for _ in range(PLACES):
        entered(gate, lent, "usual")
    assert gate.busy


def test_where_nobody_is_answered_nobody_lends():
    gate, lent = gate_of(), []
    stays = [entered(gate, lent, "slow") for _ in range(PLACES)]
    for stay in stays[1:]:
        gate.leave(stay)  # refused, or timed out
    assert lent == []


def test_no_more_places_are_lent_than_some_for_each_there_is():
    gate, lent = gate_of(), []
    for number in range(PLACES * (LENT + 1) - 1):
        entered(gate, lent, str(number))
        others_are_answered(gate, OVERTAKEN * PLACES)
    assert len(lent) == PLACES * LENT


def test_what_was_lent_is_lent_again_once_its_call_is_over():
    gate, lent = gate_of(1), []
    stays = []
    for number in range(LENT):
        stays.append(entered(gate, lent, str(number)))
        for _ in range(OVERTAKEN):
            gate.answered()
    full = entered(gate, lent, "kept")
    for _ in range(9 * OVERTAKEN):
        gate.answered()
    assert (len(lent), gate.busy) == (LENT, True)
    gate.leave(stays[0])
    gate.answered()
    assert lent[-1] == "kept"
    gate.leave(full)
    assert not gate.busy


def test_an_endpoint_that_somebody_gave_a_number_is_asked_no_more_than_that():
    gate, lent = gate_of(lends=False), []
    entered(gate, lent, "slow")
    others_are_answered(gate, 100 * OVERTAKEN * PLACES)
    assert lent == []


async def test_who_waits_comes_in_where_a_place_is_lent():
    gate, lent = gate_of(1), []
    entered(gate, lent, "slow")
    waiting = asyncio.create_task(gate.enter(lambda: None))
    await asyncio.sleep(0)
    for _ in range(OVERTAKEN):
        assert not waiting.done()
        gate.answered()
        await asyncio.sleep(0)
    assert waiting.done()
    gate.leave(waiting.result())
    assert not gate.busy


async def test_a_call_that_lent_its_place_gives_none_back_when_it_ends():
    slots = asyncio.Semaphore(1)
    slow = Waiting(slots)
    async with slow.under_way():
        assert slots.locked()
        slow.lend()
        slow.lend()
        assert (slots.locked(), slow.idle) == (False, False)
        async with Waiting(slots).under_way():
            assert slots.locked()
    assert not slots.locked()
    async with slow.under_way():
        assert slots.locked()


@pytest.mark.parametrize(("concurrency", "most"), [(None, range(4 + 2, 4 + 4 * LENT + 1)), (4, [4])])
async def test_calls_that_hang_slow_others_down_only_where_somebody_gave_the_number(concurrency, most):
    async with SimulatedModel(latency=0.01) as server:
        client = HttpModelClient(ModelSettings(concurrency=4, total_timeout=2.0, retry_delay=0.01))
        models = JournalledModels(client, MemoryJournal(), concurrency=4)
        server.faults.extend(["none", "none", "hang", "hang"])
        calls = (
            models.complete(call_of(str(n), base_url=server.base_url, concurrency=concurrency), Payer("r", str(n)))
            for n in range(40)
        )
        await asyncio.gather(*calls)
        await models.close()
        assert server.answered == 40
        assert server.most_at_once in most  # where the machine is busy, others are overtaken, too


async def test_who_is_cancelled_while_it_waits_for_a_place_has_left_the_gate():
    pace, slots = EndpointPacing(ceiling=1), asyncio.Semaphore(0)

    async def second() -> None:
        async with pace.turn(call_of(), Waiting(slots)):
            pytest.fail("there is no place")

    async with pace.turn(call_of()):
        task = asyncio.create_task(second())
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # the gate let it in, and it waits for a place
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with within(1), pace.turn(call_of()):
        pass


@pytest.mark.parametrize(("concurrency", "most"), [(None, 4), (2, 2), (9, 9)])
async def test_a_configured_number_outweighs_the_processs_own_whether_lower_or_higher(concurrency, most):
    async with SimulatedModel(latency=0.05) as server:
        models = JournalledModels(HttpModelClient(ModelSettings(concurrency=4)), MemoryJournal(), concurrency=4)
        calls = (
            models.complete(call_of(str(n), base_url=server.base_url, concurrency=concurrency), Payer("r", str(n)))
            for n in range(40)
        )
        await asyncio.gather(*calls)
        await models.close()
        assert server.most_at_once == most
