"""Tests how many transformers finish in time, from what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.flow import Stage
from loom_coordinator.flow_control.scale_advice import Measured, advise


@pytest.mark.parametrize(
    ("remaining", "rate", "now", "waits_for", "within", "needed", "words"),
    [
        (60_000, 10.0, 1, Stage.TRANSFORM, 1800, 4, "Run 4 transformers, 3 more than now."),
        (60_000, 40.0, 4, Stage.TRANSFORM, 1800, 4, "As many as there are now."),
        (60_000, 40.0, 4, Stage.TRANSFORM, 7200, 1, "1 of the 4 transformers would do."),
        (60_000, 10.0, 1, None, 1800, 4, "Run 4 transformers, 3 more than now."),
        (60_000, 10.0, 1, Stage.LOAD, 1800, 4, "Messages wait for the stage load"),
        (60_000, 10.0, 1, Stage.LOAD, 7200, 1, "As many as there are now."),
        (0, 10.0, 1, None, 1800, None, "Nothing is left to do."),
        (60_000, 0.0, 1, None, 1800, None, "no record came to its end lately"),
        (60_000, 10.0, 0, None, 1800, None, "no transformer is up"),
    ],
)
def test_the_advice(remaining, rate, now, waits_for, within, needed, words):
    advice = advise(Measured(remaining, rate, now, waits_for), within)
    assert advice.transformers == needed
    assert words in advice.words


def test_as_it_goes_now():
    advice = advise(Measured(6_000, 20.0, 4, None), 60)
    assert (advice.seconds, advice.per_transformer) == (300.0, 5.0)


@given(st.integers(1, 10**9), st.floats(0.01, 10**5), st.integers(1, 100), st.floats(1, 10**6))
def test_so_many_are_enough_and_one_fewer_is_not(remaining, rate, now, within):
    advice = advise(Measured(remaining, rate, now, Stage.TRANSFORM), within)
    each = rate / now
    assert advice.transformers * each * within >= remaining * 0.999999
    assert (advice.transformers - 1) * each * within <= remaining * 1.000001
