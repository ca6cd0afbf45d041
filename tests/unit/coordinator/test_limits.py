"""Which limit of failed records a run has passed."""

from __future__ import annotations

import pytest

from loom_common.domain.failing import Recovery
from loom_common.flow import Stage
from loom_coordinator.limits import Count, exceeded, limits_of, since

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
        ({"max_failures": 0}, Count(1, 1), "transform: 1 records failed; max_failures is 0"),
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
        ({}, Count(50, 50), None),
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


def test_a_definition_without_limits_has_none():
    assert limits_of(DEFINITION) == {}


def test_the_limits_of_a_definition_are_found_by_stage():
    definition = {**DEFINITION, "load": {"destination": "b.csv", "max_failure_rate": 0.2}}
    limits = limits_of(definition)
    assert limits[L].max_failure_rate == 0.2
    assert limits[T].max_failures is None
