"""Tests when scores differ more than by chance."""

import pytest

from loom_common.statistics.paired import sign_test


@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    [(0, 0, None), (1, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (9, 1, 0.021484375), (4, 4, 1.0)],
)
def test_the_p_value_is_that_of_a_two_sided_sign_test(better, worse, p_value):
    assert sign_test(better, worse) == p_value


@pytest.mark.parametrize("worse", [400, 450, 480, 499])
def test_the_normal_distribution_goes_on_where_the_exact_test_ends(worse):
    assert sign_test(1001 - worse, worse) == pytest.approx(sign_test(1000 - worse, worse), rel=0.25)
