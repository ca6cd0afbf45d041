"""Samples: the share asked for, and always the same records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.values.sampling import sampled

IDS = [f"record-{number}" for number in range(10_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_sample_is_about_the_share_asked_for(share):
    taken = sum(sampled(each, share) for each in IDS)
    assert taken == pytest.approx(share * len(IDS), abs=4 * (share * (1 - share) * len(IDS)) ** 0.5)


def test_a_whole_sample_takes_every_record():
    assert all(sampled(each, 1.0) for each in IDS)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_sample_takes_all_that_a_smaller_one_does(record_id, one, other):
    least, most = sorted((one, other))
    assert sampled(record_id, most) or not sampled(record_id, least)


def test_the_choice_is_the_same_on_every_machine():
    taken = [number for number in range(30) if sampled(f"record-{number}", 0.2)]
    assert taken == [3, 4, 7, 10, 15, 18, 26, 27, 28, 29]
