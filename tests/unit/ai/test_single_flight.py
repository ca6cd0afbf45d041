"""Tests two processes that share claims and a journal, and ask one model."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.answers.multi_record import Question, Shaped, ask_together
from loom_ai.journal.claims import LEASE_SECONDS, Claim, MemoryClaims
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.single_flight import SingleFlight
from loom_ai.keys import key_of
from loom_ai.ports import Payer
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import DependencyUnavailable
from support.clocks import ManualClock
from support.scripted_model import ScriptedModel, answer_of, call_of, settle

ANN, BEN = Payer("run_1", "ann"), Payer("run_1", "ben")


class TurningClock(ManualClock):
    """Others have their turn while one sleeps."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0)


class Fleet:
    """Runs the processes of one cluster."""

    def __init__(self, *script) -> None:
        self.model, self.journal, self.clock = ScriptedModel(*script), MemoryJournal(), TurningClock()
        self.claims = MemoryClaims(self.clock)
        self.one, self.other = self.process(), self.process()

    def process(self) -> JournalledModels:
        pending = SingleFlight(self.claims, self.clock)
        return JournalledModels(self.model, self.journal, clock=self.clock, fleet=pending)

    async def both_ask(self, payers=(ANN, BEN), reuse=None) -> list[asyncio.Task]:
        """Ask at the same time; the model has not answered yet."""
        self.model.may_answer.clear()
        asking = [
            asyncio.create_task(process.complete(call_of(), payer, reuse))
            for process, payer in zip((self.one, self.other), payers, strict=True)
        ]
        await settle(lambda: bool(self.model.calls))
        before = len(self.clock.slept)
        await settle(lambda: len(self.clock.slept) > before + 20 or len(self.model.calls) == len(asking))
        return asking


@pytest.fixture
async def fleet():
    fleet = Fleet(answer_of("fine"))
    yield fleet
    await fleet.one.close()
    await fleet.other.close()


async def test_what_two_processes_ask_at_once_is_asked_once_and_paid_by_one(fleet):
    asking = await fleet.both_ask()
    assert sum(fleet.clock.slept) > LEASE_SECONDS  # it takes long, and its claim is kept up
    fleet.model.may_answer.set()
    first, second = await asyncio.gather(*asking)
    assert len(fleet.model.calls) == 1
    assert (first.answer.text, second.answer.text) == ("fine", "fine")
    assert (first.spent.calls_made, second.spent.calls_made, second.spent.calls_from_cache) == (1, 0, 1)


async def test_whose_question_failed_leaves_it_to_the_other(fleet):
    fleet.model._script[:] = [DependencyUnavailable("away"), answer_of("fine")]
    asking = await fleet.both_ask()
    fleet.model.may_answer.set()
    first, second = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, DependencyUnavailable)
    assert (second.answer.text, second.spent.calls_made) == ("fine", 1)


async def test_a_process_that_died_is_waited_for_until_its_lease_ends(fleet):
    await fleet.claims.take([Claim.of(key_of(call_of()), BEN)])
    assert (await fleet.one.complete(call_of(), ANN)).spent.calls_made == 1
    waited = [seconds for seconds in fleet.clock.slept if seconds <= 0.5]  # the others keep claims up
    assert LEASE_SECONDS <= sum(waited) <= LEASE_SECONDS + 0.5


async def test_the_record_it_had_in_flight_is_asked_for_again_at_once(fleet):
    await fleet.claims.take([Claim.of(key_of(call_of()), ANN)])
    assert (await fleet.one.complete(call_of(), ANN)).spent.calls_made == 1
    assert not [seconds for seconds in fleet.clock.slept if seconds <= 0.5]


async def test_so_it_is_where_another_record_waits_for_the_same_already(fleet):
    await fleet.claims.take([Claim.of(key_of(call_of()), ANN)])
    waiting = asyncio.create_task(fleet.one.complete(call_of(), BEN))
    await settle(lambda: len(fleet.clock.slept) > 3)
    assert not fleet.model.calls
    again = asyncio.create_task(fleet.one.complete(call_of(), ANN))
    await asyncio.gather(waiting, again)
    waited = [seconds for seconds in fleet.clock.slept if seconds <= 0.5]
    assert sum(waited) < LEASE_SECONDS / 2
    assert len(fleet.model.calls) == 1


@pytest.mark.parametrize(("payers", "calls"), [((ANN, BEN), 1), ((ANN, Payer("run_2", "ann")), 2)])
async def test_without_reuse_processes_share_the_calls_of_one_run_and_of_no_other(fleet, payers, calls):
    asking = await fleet.both_ask(payers, reuse=Reuse(enabled=False))
    fleet.model.may_answer.set()
    await asyncio.gather(*asking)
    assert len(fleet.model.calls) == calls


@pytest.mark.parametrize("enabled", [True, False])
async def test_questions_that_two_processes_put_into_shared_calls_are_asked_once(fleet, enabled):
    fleet.model._script[:] = [answer_of('{"record_1": "fine", "record_2": "fine"}')]
    fleet.model.may_answer.clear()
    batches = [
        [Question(call_of(f"same {n}"), Payer("run_1", f"{batch}{n}")) for n in range(2)] for batch in ("a", "b")
    ]
    asking = [
        asyncio.create_task(ask_together(process, batch, 2, Shaped(None), Reuse(enabled=enabled)))
        for process, batch in zip((fleet.one, fleet.other), batches, strict=True)
    ]
    await settle(lambda: bool(fleet.model.calls))
    before = len(fleet.clock.slept)
    await settle(lambda: len(fleet.clock.slept) > before + 20 or len(fleet.model.calls) == 2)
    fleet.model.may_answer.set()
    for parts in await asyncio.gather(*asking):
        assert [part.output for part in parts] == [{"text": "fine"}] * 2
    assert len(fleet.model.calls) == 1


async def test_nothing_is_held_when_all_is_answered(fleet):
    await asyncio.gather(*(fleet.one.complete(call_of(str(n)), ANN) for n in range(20)))
    keys = [key_of(call_of(str(n))) for n in range(20)]
    await settle(lambda: not fleet.claims._held)
    assert await fleet.claims.take([Claim.of(key, BEN) for key in keys]) == [True] * 20


async def test_waiting_for_another_process_is_not_time_that_a_record_takes(fleet):
    asking = await fleet.both_ask()
    waiting = asyncio.create_task(fleet.other.complete(call_of(), Payer("run_1", "cid"), patience=0.05))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    fleet.model.may_answer.set()
    await asyncio.gather(*asking, waiting)
    assert len(fleet.model.calls) == 1


async def test_claims_that_cannot_be_reached_cost_repeated_calls_and_are_left_alone_for_a_while(fleet, capsys):
    class Away(MemoryClaims):
        asked = 0

        async def take(self, claims):
            self.asked += 1
            raise DependencyUnavailable("The claims are away.")

        release = take

    away = Away()
    alone = JournalledModels(fleet.model, fleet.journal, fleet=SingleFlight(away))
    for number in range(3):
        assert (await alone.complete(call_of(str(number)), ANN)).answer.text == "fine"
    await alone.close()
    said = capsys.readouterr()
    assert away.asked == (said.out + said.err).count("once per process") == 1
