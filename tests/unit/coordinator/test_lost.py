"""Tests when work counts as lost: a silent run beside an empty bus."""

from __future__ import annotations

from loom_coordinator.sweeping.broker_loss import QUEUES, Quiet


def test_a_run_is_silent_once_nothing_new_was_heard_for_longer_than_the_patience():
    quiet = Quiet(patience=10)

    assert quiet.silent({"a": 1, "b": 1}, now=0) == []
    assert quiet.silent({"a": 1, "b": 2}, now=6) == []
    assert quiet.silent({"a": 1, "b": 2}, now=11) == ["a"]
    assert quiet.silent({"a": 2, "b": 2}, now=17) == ["b"]


def test_a_run_that_ended_is_forgotten():
    quiet = Quiet(patience=10)
    quiet.silent({"a": 1}, now=0)
    quiet.silent({}, now=5)

    assert quiet.silent({"a": 1}, now=20) == []


def test_what_was_asked_again_has_its_time_again():
    quiet = Quiet(patience=10)
    quiet.silent({"a": 1}, now=0)
    assert quiet.silent({"a": 1}, now=11) == ["a"]

    quiet.asked_again("a")

    assert quiet.silent({"a": 1}, now=12) == []
    assert quiet.silent({"a": 1}, now=23) == ["a"]


def test_the_bus_must_be_empty_at_every_look_for_half_the_patience():
    quiet = Quiet(patience=10)

    assert not quiet.long_empty(empty=True, now=0)
    assert not quiet.long_empty(empty=True, now=4)
    assert not quiet.long_empty(empty=False, now=5)
    assert not quiet.long_empty(empty=True, now=6)
    assert quiet.long_empty(empty=True, now=12)


def test_messages_that_wait_in_a_retry_queue_are_not_lost():
    assert {"loom.transform", "loom.transform.retry.600s", "loom.coordinator.facts"} <= set(QUEUES)
    assert "loom.dead" not in QUEUES
