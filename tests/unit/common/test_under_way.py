"""A worker reports the progress of the batches that it is processing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import BatchExtracted, BatchHeader, ExtractedRecord, StageDelayed, WorkUnderWay
from loom_common.domain.run.tally import Tally
from loom_common.flow import TOPOLOGY, Binding, Exchange, Stage
from loom_common.ports.bus import Delivery
from loom_common.resilience.pauses import noted, pausing
from loom_common.worker import batch_progress
from loom_common.worker.consuming.in_flight import InFlightMessage
from loom_common.worker.context import Progress
from loom_dev.waiting import within

HEADER = BatchHeader(
    run_id="run_1", pipeline="p", plan="x", epoch=1, batch_id="b1", partition=0, slice=0, position=0,
    tally=Tally(extracted=4),
)  # fmt: skip
BATCH = BatchExtracted(header=HEADER, records=tuple(ExtractedRecord(id=str(n), input={}) for n in range(4)))


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Let a worker report as soon as it can."""
    for name in ("SECONDS", "REPEAT_SECONDS", "STILL_SECONDS", "TELL_EVERY_SECONDS"):
        monkeypatch.setattr(batch_progress, name, 0.01)


@asynccontextmanager
async def reporting(facts: str) -> AsyncIterator[tuple[batch_progress.BatchProgress, AsyncIterator[Delivery]]]:
    """Yield the reports of a worker, and the facts of this kind that it publishes."""
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, facts)])
    told = await bus.subscribe(queue, prefetch=1)
    reports = batch_progress.BatchProgress("transformer", "t1", bus)
    running = asyncio.create_task(reports.run())
    try:
        yield reports, aiter(told)
    finally:
        running.cancel()


async def test_what_is_done_of_a_batch_is_told_before_the_batch_is_done():
    progress = Progress(4)
    async with reporting("worker.underway.*") as (reports, told):
        with reports.of(BATCH, progress):
            progress.begin(8)  # two questions about each record
            for _ in range(3):
                progress.one_done()
            thread = threading.Thread(target=progress.one_done)
            thread.start()
            thread.join()
            async with within(20):
                word = decode(await anext(told), WorkUnderWay)
    assert isinstance(word, WorkUnderWay)
    [batch] = word.batches
    assert batch.run_id == "run_1"
    assert batch.batch_id == "b1"
    assert batch.stage == Stage.TRANSFORM
    assert batch.done == 2


async def test_what_is_done_of_a_batch_is_told_again_while_nothing_changes(at_once):
    progress = Progress(4)
    async with reporting("worker.underway.*") as (reports, told), within(20):
        with reports.of(BATCH, progress):
            progress.one_done()
            for _ in range(3):
                delivery = await anext(told)
                assert [each.done for each in decode(delivery, WorkUnderWay).batches] == [1]
                await delivery.ack()


async def test_a_run_whose_calls_pause_is_told_again_and_again_for_what_and_until_when(at_once):
    async def waiting(seconds: float, reason: str) -> None:
        with pausing(seconds, reason):
            await asyncio.Event().wait()

    async with reporting("stage.delayed.*") as (reports, told), within(20):
        with reports.of(BATCH, Progress(4)):
            calls = [asyncio.create_task(waiting(60, "429")), asyncio.create_task(waiting(90, "503"))]
            facts = []
            while len(facts) < 2:
                delivery = await anext(told)
                facts.append(decode(delivery, StageDelayed))
                await delivery.ack()
            for call in calls:
                call.cancel()
    assert [(fact.run_id, fact.stage, fact.reason, fact.attempt) for fact in facts] == [
        ("run_1", Stage.TRANSFORM, "429", 0)
    ] * 2
    assert all(50 < fact.delay <= 60 for fact in facts)
    assert len({fact.message_id for fact in facts}) == 2


async def test_a_run_that_moves_while_a_call_of_it_pauses_is_told_nothing(at_once, monkeypatch):
    monkeypatch.setattr(batch_progress, "STILL_SECONDS", 1000)
    async with reporting("stage.delayed.*") as (reports, told), within(20):
        with reports.of(BATCH, Progress(4)), pausing(60, "429"):
            awaited = asyncio.create_task(anext(told))
            await asyncio.sleep(0.1)
            assert not awaited.done()
            awaited.cancel()


def test_a_pause_outside_a_message_or_that_is_over_is_no_pause_of_it():
    with pausing(60, "429"), noted() as pauses:
        assert pauses.first_to_end() is None
        with pausing(60, "503"):
            assert pauses.first_to_end().reason == "503"
        assert pauses.first_to_end() is None


def test_parts_that_are_done_again_are_no_more_than_there_are():
    progress = Progress(2)
    for _ in range(5):
        progress.one_done()
    assert progress.share == 1.0


def test_only_answers_of_models_make_room_for_further_messages():
    in_flight = InFlightMessage()
    progress = Progress(1, in_flight)
    progress.begin(4, answers=2)  # an answer about each of two records, and a gate for each
    progress.one_done()
    assert (progress.share, in_flight.left) == (0.25, 1.0)
    progress.one_answered()
    assert (progress.share, in_flight.left) == (0.5, 0.5)
