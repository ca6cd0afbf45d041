from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import threading

import pytest

from loom_ai.budget.prices import Prices
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import Payer
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import DependencyUnavailable
from support.scripted_model import ScriptedModel, answer_of, call_of, settle

ANN, BEN = Payer("run_1", "ann"), Payer("run_1", "ben")
LATER = Payer("run_2", "ann")


class OwnTime:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)


async def test_an_answer_is_paid_once_and_then_read():
    model = ScriptedModel(answer_of("fine"))
    models = JournalledModels(model, MemoryJournal())
    first = await models.complete(call_of(), ANN)
    again = await models.complete(call_of(), LATER)
    assert (first.answer.text, again.answer.text, len(model.calls)) == ("fine", "fine", 1)
    assert (first.spent.calls_made, first.spent.calls_from_cache, first.earlier_run) == (1, 0, False)
    assert (again.spent.calls_made, again.spent.calls_from_cache, again.earlier_run) == (0, 1, True)
    assert again.spent.cost == again.spent.tokens_in == 0


async def test_the_price_list_is_loaded_in_a_thread_while_the_first_answer_is_awaited():
    loop, loading, in_the_loop = asyncio.get_running_loop(), asyncio.Event(), []

    class Watched(Prices):
        def quote(self, *asked, **also):
            in_the_loop.append(threading.current_thread() is threading.main_thread())
            loop.call_soon_threadsafe(loading.set)
            return super().quote(*asked, **also)

    model = ScriptedModel()
    model.may_answer.clear()
    models = JournalledModels(model, MemoryJournal(), Watched())
    asking = [asyncio.create_task(models.complete(call_of(text), ANN)) for text in ("How is it?", "How was it?")]
    async with asyncio.timeout(30):
        await loading.wait()
    assert in_the_loop == [False]
    model.may_answer.set()
    assert [one.spent.cost for one in await asyncio.gather(*asking)] == [pytest.approx(0.00021)] * 2
    assert in_the_loop == [False, True, True]


async def test_an_answer_that_comes_at_once_waits_for_the_price_list_which_a_thread_loads():
    in_the_loop = []

    class Watched(Prices):
        def quote(self, *asked, **also):
            in_the_loop.append(threading.current_thread() is threading.main_thread())
            return super().quote(*asked, **also)

    models = JournalledModels(ScriptedModel(), MemoryJournal(), Watched())
    assert (await models.complete(call_of(), ANN)).spent.cost == pytest.approx(0.00021)
    await models.close()
    assert in_the_loop == [False, True]


async def test_a_redelivered_record_counts_what_it_paid_as_its_own_again():
    models = JournalledModels(ScriptedModel(), MemoryJournal())
    assert await models.complete(call_of(), ANN) == await models.complete(call_of(), ANN)
    assert (await models.complete(call_of(), ANN)).spent.cost == pytest.approx(0.00021)


async def test_what_another_record_of_the_run_paid_for_comes_from_cache():
    models = JournalledModels(ScriptedModel(), MemoryJournal())
    await models.complete(call_of(), ANN)
    second = await models.complete(call_of(), BEN)
    assert (second.spent.calls_made, second.spent.calls_from_cache, second.earlier_run) == (0, 1, False)


async def test_identical_calls_in_flight_are_one_call():
    model = ScriptedModel(answer_of("fine"))
    model.may_answer.clear()
    models = JournalledModels(model, MemoryJournal())
    asking = [asyncio.create_task(models.complete(call_of(), Payer("run_1", str(n)))) for n in range(20)]
    await settle(lambda: bool(model.calls))
    model.may_answer.set()
    settled = await asyncio.gather(*asking)
    assert len(model.calls) == 1
    assert sum(one.spent.calls_made for one in settled) == 1
    assert sum(one.spent.calls_from_cache for one in settled) == 19


async def test_without_reuse_a_run_pays_for_a_question_once_and_takes_nothing_of_another_run():
    model = ScriptedModel()
    models = JournalledModels(model, MemoryJournal())
    spent = [
        (await models.complete(call_of(), payer, Reuse(enabled=False))).spent.calls_made
        for payer in (ANN, BEN, LATER, ANN)
    ]
    assert spent == [1, 0, 1, 1]  # the last one is its own call, met again
    assert len(model.calls) == 2


async def test_age_counts_for_answers_of_other_runs_only():
    clock, model = OwnTime(), ScriptedModel()
    models = JournalledModels(model, MemoryJournal(), clock=clock)
    hour = Reuse(max_age=3600)
    await models.complete(call_of(), ANN, hour)
    await clock.sleep(3599)
    assert (await models.complete(call_of(), LATER, hour)).spent.calls_made == 0
    await clock.sleep(1)
    assert (await models.complete(call_of(), BEN, hour)).spent.calls_made == 0
    assert (await models.complete(call_of(), LATER, hour)).spent.calls_made == 1
    assert (await models.complete(call_of(), LATER, hour)).spent.calls_made == 1  # its own by now
    assert len(model.calls) == 2


async def test_an_answer_is_in_the_journal_before_it_is_used():
    journal = MemoryJournal()
    writing, may_write = asyncio.Event(), asyncio.Event()
    put_many = journal.put_many

    async def slow(entries):
        writing.set()
        await may_write.wait()
        await put_many(entries)

    journal.put_many = slow
    models = JournalledModels(ScriptedModel(), journal)
    asking = asyncio.create_task(models.complete(call_of(), ANN))
    await writing.wait()
    assert not asking.done()
    may_write.set()
    await asking


async def test_being_cancelled_does_not_lose_a_call_that_is_under_way():
    model, journal = ScriptedModel(), MemoryJournal()
    model.may_answer.clear()
    models = JournalledModels(model, journal)
    asking = asyncio.create_task(models.complete(call_of(), ANN))
    await settle(lambda: bool(model.calls))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    model.may_answer.set()
    await models.complete(call_of(), ANN)
    assert len(model.calls) == 1


async def test_what_waits_its_turn_is_never_asked_once_it_is_cancelled():
    model = ScriptedModel()
    model.may_answer.clear()
    models = JournalledModels(model, MemoryJournal(), concurrency=2)
    asking = [asyncio.create_task(models.complete(call_of(str(n)), ANN)) for n in range(10)]
    await settle(lambda: len(model.calls) == 2)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    model.may_answer.set()
    await models.close()
    assert len(model.calls) == 2


async def test_no_more_calls_are_in_flight_than_allowed():
    at_once, most = itertools.count(1), 0

    class Counting(ScriptedModel):
        async def complete(self, call, waits=None):
            nonlocal most
            most = max(most, len(running := running_now) + 1)
            running.append(call)
            await asyncio.sleep(0)
            running.remove(call)
            return answer_of(str(next(at_once)))

    running_now: list[object] = []
    models = JournalledModels(Counting(), MemoryJournal(), concurrency=3)
    await asyncio.gather(*(models.complete(call_of(str(n)), ANN) for n in range(30)))
    assert most == 3


async def test_a_failed_call_fails_all_who_waited_and_is_tried_again_by_the_next():
    model = ScriptedModel(DependencyUnavailable("away"), answer_of("fine"))
    model.may_answer.clear()
    models = JournalledModels(model, MemoryJournal())
    asking = [asyncio.create_task(models.complete(call_of(), payer)) for payer in (ANN, BEN)]
    await settle(lambda: bool(model.calls))
    model.may_answer.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(result) for result in results] == [DependencyUnavailable] * 2
    assert (await models.complete(call_of(), ANN)).answer.text == "fine"


async def test_lookups_made_together_are_one_request():
    journal = MemoryJournal()
    requests: list[int] = []
    get_many = journal.get_many

    async def counted(keys):
        requests.append(len(keys))
        return await get_many(keys)

    journal.get_many = counted
    models = JournalledModels(ScriptedModel(), journal)
    await asyncio.gather(*(models.complete(call_of(str(n)), ANN) for n in range(50)))
    assert requests == [50]


async def test_questions_are_looked_up_together_however_few_may_be_asked_at_once():
    looked_up: list[int] = []

    class Seen(MemoryJournal):
        async def get_many(self, keys):
            looked_up.append(len(keys))
            return await super().get_many(keys)

    models = JournalledModels(ScriptedModel(answer_of("fine")), Seen(), concurrency=1)
    await asyncio.gather(*(models.complete(call_of(f"q{n}"), Payer("run_1", f"r{n}")) for n in range(50)))
    assert looked_up == [50]
