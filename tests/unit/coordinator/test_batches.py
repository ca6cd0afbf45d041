"""Facts may come twice and in any order: the batch row is the same."""

from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.accounting.batches import DONE, UNDERWAY, Batch

STORY = [
    (Stage.EXTRACT, Tally(extracted=5, quarantined=1)),
    (Stage.TRANSFORM, Tally(extracted=5, quarantined=2, transformed=3)),
    (Stage.EVALUATE, Tally(extracted=5, quarantined=2, transformed=3, rejected=1, passed=2)),
    (Stage.LOAD, Tally(extracted=5, quarantined=2, transformed=3, rejected=1, passed=2, loaded=2)),
]


def batch(**fields):
    return Batch("run_1", "b", partition=0, slice=0, position=0, **fields)


@given(st.lists(st.sampled_from(STORY), max_size=12))
def test_the_furthest_fact_tells_all_whatever_the_order(facts):
    row = batch()
    for stage, tally in [*facts, *STORY[::-1]]:
        row.advance(stage, tally)
    assert (row.stage, row.tally) == STORY[-1]


def test_a_batch_is_done_only_when_what_was_kept_back_is_in_quarantine():
    stage, tally = STORY[-1]
    assert batch(stage=stage, tally=tally, kept=2).state == UNDERWAY
    assert batch(stage=stage, tally=tally, kept=3).state == DONE


def test_a_batch_with_records_on_the_way_is_underway():
    stage, tally = STORY[1]
    assert batch(stage=stage, tally=tally, kept=2).state == UNDERWAY


def test_a_batch_the_quarantine_spoke_of_first_is_not_done():
    row = Batch("run_1", "b", kept=1)
    assert row.state == UNDERWAY
