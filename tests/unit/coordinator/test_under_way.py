"""Tests which batches count as under way, by what workers say of them."""

from __future__ import annotations

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.v1 import BatchUnderWay, WorkUnderWay
from loom_common.flow import Stage
from loom_common.worker.batch_progress import REPEAT_SECONDS
from loom_coordinator.flow_control import batch_progress


def report(done: int, *, batch: str = "b1", epoch: int = 1) -> WorkUnderWay:
    """Return what a worker says of one batch."""
    under_way = BatchUnderWay(run_id="run_1", batch_id=batch, epoch=epoch, stage=Stage.TRANSFORM, done=done)
    return WorkUnderWay(service="transformer", replica="t1", batches=(under_way,))


async def test_the_last_word_of_each_batch_counts_and_those_of_an_earlier_epoch_do_not():
    heard = batch_progress.UnderWay(MemoryBus())
    for said in (report(1), report(3), report(2, batch="b2"), report(9, batch="b3", epoch=0)):
        heard._hear(said)
    assert [(each.batch_id, each.done) for each in heard.of("run_1", 1)] == [("b1", 3), ("b2", 2)]
    assert heard.of("run_2", 1) == []


async def test_what_was_said_is_forgotten_but_not_before_it_is_said_again(monkeypatch):
    assert batch_progress._OLD_SECONDS > 2 * REPEAT_SECONDS
    heard = batch_progress.UnderWay(MemoryBus())
    heard._hear(report(1))
    with monkeypatch.context() as patched:
        patched.setattr(batch_progress, "_OLD_SECONDS", 0.0)
        assert heard.of("run_1", 1) == []
    assert heard.of("run_1", 1) == []  # nothing of it is kept
