"""Tests when a breaker opens, probes and closes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.breaker import Breaker, Policy, State

POLICY = Policy(failures=5, open_seconds=60.0, successes=3)


def after(story: str, policy: Policy = POLICY) -> tuple[Breaker, float]:
    """Return a breaker with a past: `F` a call that failed, `S` one that was answered, `.` ten seconds in which nothing
    happens. A call that is not let through did not happen."""
    breaker, now = Breaker(policy), 0.0
    for event in story:
        if event == ".":
            now += 10.0
        elif (ticket := breaker.admit(now)) is not None:
            breaker.failed(ticket, now) if event == "F" else breaker.succeeded(ticket)
    return breaker, now


@pytest.mark.parametrize(
    ("story", "state", "openings"),
    [
        ("", State.CLOSED, 0),
        ("FFFF", State.CLOSED, 0),
        ("FFFFSFFFF", State.CLOSED, 0),
        ("FFFFF", State.OPEN, 1),
        ("FFFFF.....S", State.OPEN, 1),
        ("FFFFF......S", State.HALF_OPEN, 1),
        ("FFFFF......SS", State.HALF_OPEN, 1),
        ("FFFFF......SSS", State.CLOSED, 1),
        ("FFFFF......F", State.OPEN, 2),
        ("FFFFF......SSF", State.OPEN, 2),
        ("FFFFF......F.....S", State.OPEN, 2),
        ("FFFFF......F......SSS", State.CLOSED, 2),
        ("FFFFF......SSSFFFF", State.CLOSED, 1),
        ("FFFFF......SSSFFFFF", State.OPEN, 2),
    ],
)
def test_the_state_follows_from_what_happened(story, state, openings):
    breaker, _ = after(story)
    assert (breaker.state, breaker.opening) == (state, openings)


def test_an_open_breaker_lets_nobody_through_and_says_until_when():
    breaker, now = after("FFFFF..")
    assert breaker.admit(now) is None
    assert breaker.probe_in(now) == 40.0


def test_a_half_open_breaker_lets_one_through_at_a_time():
    breaker, now = after("FFFFF......")
    probe = breaker.admit(now)
    assert probe is not None
    assert breaker.admit(now) is None
    breaker.succeeded(probe)
    assert breaker.admit(now) is not None


def test_a_probe_without_a_word_makes_room_for_the_next():
    breaker, now = after("FFFFF......")
    breaker.abandoned(breaker.admit(now))
    assert breaker.admit(now) is not None


def test_calls_that_hang_say_nothing_where_later_ones_were_answered():
    breaker, now = after("")
    hung = [breaker.admit(now) for _ in range(9)]
    answered, last = breaker.admit(now), breaker.admit(now)
    breaker.succeeded(answered)
    for ticket in hung:
        breaker.failed(ticket, now + 35)
    assert (breaker.state, breaker.failures) == (State.CLOSED, 0)
    breaker.failed(last, now + 35)
    assert breaker.failures == 1


def test_calls_that_hang_open_it_where_only_earlier_ones_were_answered():
    breaker, now = after("")
    earlier, *hung = (breaker.admit(now) for _ in range(6))
    breaker.succeeded(earlier)
    for ticket in hung:
        breaker.failed(ticket, now + 35)
    assert breaker.state is State.OPEN


def test_what_comes_of_calls_from_before_it_opened_does_not_count():
    breaker, now = after("FFFF")
    late_success, late_failure, last = (breaker.admit(now) for _ in range(3))
    breaker.failed(last, now)
    breaker.failed(late_failure, now + 30)
    breaker.succeeded(late_success)
    assert (breaker.state, breaker.probe_in(now)) == (State.OPEN, 60.0)
    probe = breaker.admit(now + 60)
    breaker.failed(late_failure, now + 60)
    assert (breaker.state, breaker.opening) == (State.HALF_OPEN, 1)
    breaker.failed(probe, now + 60)
    assert (breaker.state, breaker.opening) == (State.OPEN, 2)


@given(st.text("FS.", max_size=200), st.integers(1, 6), st.integers(1, 4))
def test_whatever_happens_an_upstream_that_is_back_is_used_again(story, failures, successes):
    policy = Policy(failures, 60.0, successes)
    breaker, _ = after(story + "......" + "S" * successes, policy)
    assert breaker.state is State.CLOSED


@given(st.text("FS.", max_size=200), st.integers(1, 6))
def test_no_breaker_is_closed_after_so_many_failures_in_a_row(story, failures):
    breaker, _ = after(story + "F" * failures, Policy(failures, 60.0, 3))
    assert breaker.state is not State.CLOSED
