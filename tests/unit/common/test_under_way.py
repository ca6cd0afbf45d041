"""A worker reports the progress of the batches that it is processing."""

import asyncio
import threading

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import BatchExtracted, BatchHeader, ExtractedRecord, WorkUnderWay
from loom_common.domain.run.tally import Tally
from loom_common.flow import TOPOLOGY, Binding, Exchange, Stage
from loom_common.worker import batch_progress
from loom_common.worker.context import Progress
from loom_common.worker.in_flight import InFlightMessage
from loom_dev.waiting import within

HEADER = BatchHeader(
    run_id="run_1", pipeline="p", plan="x", epoch=1, batch_id="b1", partition=0, slice=0, position=0,
    tally=Tally(extracted=4),
)  # fmt: skip
BATCH = BatchExtracted(header=HEADER, records=tuple(ExtractedRecord(id=str(n), input={}) for n in range(4)))


async def test_what_is_done_of_a_batch_is_told_before_the_batch_is_done():
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, "worker.underway.*")])
    told = await bus.subscribe(queue, prefetch=1)
    reports = batch_progress.BatchProgress("transformer", "t1", bus)
    reporting = asyncio.create_task(reports.run())
    progress = Progress(4)
    with reports.of(BATCH, progress):
        progress.begin(8)  # two questions about each record
        for _ in range(3):
            progress.one_done()
        thread = threading.Thread(target=progress.one_done)
        thread.start()
        thread.join()
        async with within(20):
            word = decode(await anext(aiter(told)), WorkUnderWay)
    reporting.cancel()
    assert isinstance(word, WorkUnderWay)
    [batch] = word.batches
    assert batch.run_id == "run_1"
    assert batch.batch_id == "b1"
    assert batch.stage == Stage.TRANSFORM
    assert batch.done == 2


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
