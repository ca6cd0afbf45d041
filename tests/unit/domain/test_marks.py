"""Tests what the marks of a batch say about its records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.marks import Mark


def died(mark: Mark, record: str | None, by: str) -> Mark:
    """Return the mark after its process died over `record`, and `by` took the batch up."""
    started = mark if record is None else mark.starting(record)
    return started.taken_over(by)


def test_a_batch_that_a_dead_process_had_is_begun_once_more():
    mark = died(Mark("p1"), None, "p2")
    assert (mark.by, mark.begun, mark.strikes) == ("p2", 1, {})


def test_the_record_that_was_started_has_a_strike():
    assert died(Mark("p1"), "ann", "p2").strikes == {"ann": 1}


def test_a_record_that_was_started_and_never_finished_twice_is_poison():
    once = died(Mark("p1"), "ann", "p2")
    twice = died(once, "ann", "p3")
    assert once.verdict("ann") is None
    verdict = twice.verdict("ann")
    assert (verdict.code, "2 times" in str(verdict), verdict.details) == ("poison", True, {"started": 2})
    assert twice.verdict("ben") is None


def test_a_record_that_was_finished_has_no_strike():
    mark = Mark("p1").starting("ann").starting("ben").taken_over("p2")
    assert mark.strikes == {"ben": 1}


def test_a_process_that_lives_has_not_died_of_its_own_batch():
    mark = Mark("p1").starting("ann").taken_over("p1")
    assert (mark.begun, mark.strikes) == (0, {})


def test_a_batch_that_was_set_down_is_not_held_against_it():
    down = died(Mark("p1"), "ann", "p2").starting("ben").set_down()
    again = down.taken_over("p3")
    assert (again.begun, again.started, again.strikes) == (0, None, {"ann": 1})


def test_nothing_stays_of_a_batch_without_suspects():
    assert Mark("p1").starting("ann").set_down() is None


def test_what_hung_is_not_taken_up_again_and_nobody_died_of_it():
    mark = Mark("p1").hanging(["ann"]).hanging(["ann", "ben"]).taken_over("p2")
    assert (mark.begun, mark.hung) == (0, ("ann", "ben"))
    assert mark.verdict("ben").code == "timeout"
    assert mark.verdict("cid") is None


@given(
    st.builds(
        Mark,
        by=st.text(),
        begun=st.integers(0, 9),
        started=st.none() | st.text(),
        strikes=st.dictionaries(st.text(), st.integers(1, 9)),
        hung=st.lists(st.text()).map(tuple),
    )
)
def test_any_mark_survives_json(mark):
    assert Mark.of_json(mark.as_json()) == mark


@given(st.lists(st.sampled_from(["ann", "ben", "cid"])))
def test_strikes_are_the_deaths(over):
    mark = Mark("p")
    for number, record in enumerate(over):
        mark = died(mark, record, f"p{number}")
    assert mark.begun == len(over)
    assert dict(mark.strikes) == {each: over.count(each) for each in set(over)}


@pytest.mark.parametrize("times", [2, 3])
def test_the_reason_says_how_often(times):
    assert f"{times} times" in str(Mark("p", strikes={"ann": times}).verdict("ann"))
