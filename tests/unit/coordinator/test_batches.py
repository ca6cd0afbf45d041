"""Facts may come twice and in any order: the batch row is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.accounting.batch import DONE, UNDERWAY, Batch, furthest

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


KEPT_BY_EVERY_STAGE = Tally(extracted=3, transformed=2, quarantined=1, rejected=2)


@pytest.mark.parametrize(
    ("told_by", "tally", "expected"),
    [
        pytest.param(Stage.EXTRACT, Tally(extracted=2), Stage.EXTRACT, id="extracted"),
        pytest.param(Stage.EXTRACT, Tally(extracted=2, quarantined=2), Stage.EXTRACT, id="nothing left"),
        pytest.param(Stage.EXTRACT, Tally(extracted=2, transformed=2), Stage.TRANSFORM, id="to the evaluator"),
        pytest.param(Stage.EXTRACT, Tally(extracted=2, transformed=2, passed=2), Stage.EVALUATE, id="to the loader"),
        pytest.param(Stage.TRANSFORM, Tally(extracted=2, transformed=2), Stage.TRANSFORM, id="transformed"),
        pytest.param(Stage.TRANSFORM, Tally(extracted=2, transformed=1, passed=1), Stage.EVALUATE, id="past judging"),
        pytest.param(Stage.EVALUATE, KEPT_BY_EVERY_STAGE, Stage.EVALUATE, id="all rejected"),
        pytest.param(Stage.LOAD, STORY[-1][1], Stage.LOAD, id="loaded"),
    ],
)
def test_a_stage_that_had_nothing_to_do_is_done_with_what_its_tally_counts(told_by, tally, expected):
    assert furthest(told_by, tally) is expected


@given(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=8))
def test_a_batch_that_visited_no_stage_between_is_told_of_as_one_that_visited_all(order):
    read = Tally(extracted=5, quarantined=1)
    changed, passed = read.plus(transformed=4), read.plus(transformed=4, passed=4)
    visited_all = [*zip(Stage, (read, changed, passed, passed.plus(loaded=4)), strict=True)]
    visited_none = [(Stage.EXTRACT, passed), visited_all[-1]]
    one, other = batch(), batch()
    for number in [*order, *range(4)]:
        one.advance(*visited_all[number])
    for number in [*order, 0, 1]:
        other.advance(*visited_none[number % 2])
    assert (one.stage, one.tally) == (other.stage, other.tally)
