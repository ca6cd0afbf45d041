"""Percentiles from mergeable buckets are right to within a bucket's width."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.values import latency

durations = st.lists(st.floats(min_value=1e-5, max_value=1000), min_size=1, max_size=300)


@given(durations, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_six_percent_of_the_exact_one(values, share):
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert latency.percentile(latency.histogram(values), share) == pytest.approx(exact, rel=0.06)


@given(durations, durations)
def test_merging_histograms_is_counting_together(one, other):
    merged = latency.merge(latency.histogram(one), latency.histogram(other))
    assert merged == latency.histogram(one + other)


def test_nothing_counted_has_no_percentile():
    assert latency.percentile({}, 0.5) is None


def test_the_shortest_durations_share_one_bucket():
    assert latency.histogram([0.0, 1e-9]) == {0: 2}
