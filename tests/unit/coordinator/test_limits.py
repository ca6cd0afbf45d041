"""Tests which limit of failed records a run has passed."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.failures.recovery import Recovery
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.accounting.failure_limits import Count, exceeded, limits_of, of_batch, since

T, L = Stage.TRANSFORM, Stage.LOAD
DEFINITION = {
    "name": "reviews",
    "extract": {"source": "a.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "b.csv"},
}


@pytest.mark.parametrize(
    ("limit", "count", "words"),
    [
        ({"max_failures": 3}, Count(1000, 3), None),
        ({"max_failures": 3}, Count(1000, 4), "transform: 4 records failed; max_failures is 3"),
        ({"max_failures": 0}, Count(1, 0), None),
        ({"max_failures": 0}, Count(1, 1), "transform: 1 record failed; max_failures is 0"),
        ({"max_failure_rate": 0.1}, Count(19, 19), None),
        ({"max_failure_rate": 0.1}, Count(20, 2), None),
        (
            {"max_failure_rate": 0.1},
            Count(20, 3),
            "transform: 3 of 20 records failed (15.0%); max_failure_rate is 10.0%",
        ),
        ({"max_failure_rate": 0.0}, Count(20, 1), "transform: 1 of 20 records failed (5.0%); max_failure_rate is 0.0%"),
        ({"max_failure_rate": 1.0}, Count(50, 50), None),
        (
            {"max_failures": 9, "max_failure_rate": 0.5},
            Count(10, 10),
            "transform: 10 records failed; max_failures is 9",
        ),
        ({"max_failure_rate": None}, Count(50, 50), None),
        ({}, Count(19, 19), None),
        ({}, Count(20, 10), None),
        ({}, Count(20, 11), "transform: 11 of 20 records failed (55.0%); max_failure_rate is 50.0%"),
    ],
)
def test_a_limit_is_passed_by_more_than_it_allows(limit, count, words):
    assert exceeded({T: Recovery(**limit)}, {T: count}) == words


def test_each_stage_has_limits_of_its_own():
    limits = {T: Recovery(max_failures=5), L: Recovery(max_failures=0)}
    assert exceeded(limits, {T: Count(10, 5), L: Count(5, 0)}) is None
    assert exceeded(limits, {T: Count(10, 5), L: Count(5, 1)}).startswith("load:")


def test_a_resumed_run_counts_from_where_it_was_resumed():
    counted = {T: Count(100, 12), L: Count(88, 1)}
    assert since({T: Count(60, 11)}, counted) == {T: Count(40, 1), L: Count(88, 1)}


def test_a_stage_nothing_was_heard_of_has_passed_nothing():
    assert exceeded({L: Recovery(max_failures=0)}, {}) is None


def test_every_stage_gives_up_on_a_run_half_of_which_fails_unless_the_pipeline_says_otherwise():
    limits = limits_of(parse({**DEFINITION, "load": {"destination": "b.csv", "max_failure_rate": None}}))
    assert {stage.value: limit.max_failure_rate for stage, limit in limits.items()} == {
        "extract": 0.5,
        "transform": 0.5,
        "load": None,
    }


def test_a_replay_has_the_limits_that_its_pipeline_names_and_no_default():
    limits = limits_of(parse({**DEFINITION, "load": {"destination": "b.csv", "max_failure_rate": 0.2}}), replay=True)
    assert (limits[T].max_failure_rate, limits[L].max_failure_rate) == (None, 0.2)


@pytest.mark.parametrize(
    ("stage", "unread", "expected"),
    [
        ("extract", -1, {}),
        ("extract", 2, {"extract": (20, 2)}),
        ("transform", 2, {"extract": (20, 2), "transform": (18, 3)}),
        ("evaluate", 2, {"extract": (20, 2), "transform": (18, 3), "evaluate": (15, 1)}),
        ("load", 2, {"extract": (20, 2), "transform": (18, 3), "evaluate": (15, 1), "load": (10, 1)}),
    ],
)
def test_a_batch_counts_for_the_stages_that_are_done_with_it_and_a_rejection_is_no_failure(stage, unread, expected):
    tally = Tally(extracted=20, transformed=15, passed=10, rejected=4, quarantined=7, loaded=9)
    counted = of_batch(Stage(stage), tally, unread)
    assert {each.value: (count.seen, count.failed) for each, count in counted.items()} == expected


def test_filtered_records_are_no_failures_and_those_made_of_others_count_in_their_place():
    tally = Tally(extracted=20, filtered=9, transformed=10, quarantined=1)
    assert of_batch(T, tally, 0)[T] == Count(20, 1)
    tally = Tally(extracted=4, derived=30, unnested=3, transformed=29, quarantined=2)
    assert of_batch(T, tally, 0)[T] == Count(31, 2)


def test_the_limits_of_a_definition_are_found_by_stage():
    definition = {**DEFINITION, "load": {"destination": "b.csv", "max_failure_rate": 0.2}}
    limits = limits_of(parse(definition))
    assert limits[L].max_failure_rate == 0.2
    assert limits[T].max_failures is None
