"""Tests when the groups of a run are read: once, after all that came before has ended, and not in a replay."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import BatchFact, BatchHeader, ExtractSlice, FinalizeLoad, SlicedBatch, SliceExtracted
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import partitions, slices
from loom_coordinator.lifecycle.partitions import PartitionCounts
from support.run_rows import DEFINITION, run_state, sent, the_run

RUN = "run_1"
GROUP = {"type": "group", "fields": {"many": "count"}}
STEPS = [{**GROUP, "name": "first", "by": "kind"}, {**GROUP, "name": "last", "by": [], "needs": ["first"]}]
GROUPED = {**DEFINITION, "transform": {"steps": STEPS}}


@pytest.fixture
async def unit():
    async with run_state(definition=GROUPED) as unit:
        await partitions.begin(unit, RUN, None)
        await slices.release(unit, await the_run(unit))
        yield unit


def read(partition: int, **entered: int) -> SliceExtracted:
    """Return the last answer of a partition, with one batch."""
    made = SlicedBatch(batch_id=batch_id(RUN, partition, 0, 0), position=0, tally=Tally(**entered))
    return SliceExtracted(
        run_id=RUN, pipeline="p", epoch=1, partition=partition, slice=0, batches=(made,), cursor=1, end=True
    )


def ended(partition: int, **counts: int) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, partition, 0, 0), partition=partition,
        slice=0, position=0, tally=Tally(**counts),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.LOAD if "loaded" in counts else Stage.TRANSFORM, seconds=0.1)


def asked(unit) -> list[tuple[int, str | None]]:
    return [(each.partition, each.piece and each.piece.group) for each in sent(unit, ExtractSlice)]


async def test_groups_are_read_once_all_records_are_there_and_groups_of_groups_after_them(unit):
    await apply_facts.take(unit, [read(0, extracted=5)])
    assert asked(unit) == [(0, None)]
    for _ in range(2):  # facts come twice
        await apply_facts.take(unit, [ended(0, extracted=5, grouped=5)])
        assert asked(unit) == [(0, None), (1, "first")]
    await apply_facts.take(unit, [read(1, derived=2), ended(1, derived=2, grouped=2)])
    assert asked(unit) == [(0, None), (1, "first"), (2, "last")]
    await apply_facts.take(unit, [read(2, derived=1)])
    assert not sent(unit, FinalizeLoad)
    await apply_facts.take(unit, [ended(2, derived=1, transformed=1, passed=1, loaded=1)])
    assert (asked(unit)[3:], len(sent(unit, FinalizeLoad))) == ([], 1)
    assert (await the_run(unit)).totals.tally.balanced
    assert await partitions.count(unit.connection, RUN) == PartitionCounts(1, 1)


async def test_a_resume_asks_for_the_groups_that_were_not_read(unit):
    await apply_facts.take(unit, [read(0, extracted=5), ended(0, extracted=5, grouped=5)])
    before = len(asked(unit))
    assert await slices.reissue(unit, await the_run(unit)) == 1
    assert asked(unit)[before:] == [(1, "first")]


async def test_a_replay_makes_no_groups():
    async with run_state(definition=GROUPED, replay_of="run_0") as unit:
        await partitions.begin(unit, RUN, None)
        assert not await partitions.begin_groups(unit, await the_run(unit))
