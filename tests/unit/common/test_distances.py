"""Distances between distributions have the values that SciPy 1.17 gives for the same samples."""

import math
import random

import pytest

from loom_common.statistics.distances import binned, chi_square, kolmogorov_smirnov, population_stability
from loom_common.statistics.spread import entropy, quantile, standard_deviation, thinned

ONE = [0.1, 0.4, 0.7, 1.1, 1.6, 2.2, 2.9]
OTHER = [0.5, 1.2, 1.9, 2.6, 3.3, 4.0, 4.7, 5.4]


@pytest.mark.parametrize(
    ("one", "other", "statistic", "p"),
    [
        (ONE, OTHER, 0.5, 0.19254079254079257),
        (list(range(1, 31)), [each * 1.3 + 2 for each in range(1, 26)], 0.16666666666666666, 0.7831248516571795),
    ],
)
def test_the_p_value_of_small_samples_is_exact(one, other, statistic, p):
    found = kolmogorov_smirnov(one, other)
    assert (found.statistic, found.p) == (pytest.approx(statistic), pytest.approx(p, rel=1e-9))


def test_the_p_value_of_large_samples_is_that_of_the_limit():
    one = [(each * 37) % 1000 for each in range(1000)]
    other = [((each * 53) % 1000) * 1.05 for each in range(1200)]
    found = kolmogorov_smirnov(one, other)
    assert found.statistic == pytest.approx(0.048)
    assert found.p == pytest.approx(0.1565833322972346, rel=0.01)  # SciPy's exact value


def test_equal_samples_are_no_distance_apart():
    assert kolmogorov_smirnov(ONE, ONE).statistic == 0.0
    assert kolmogorov_smirnov(ONE, ONE).p == 1.0
    assert chi_square({"a": 3, "b": 4}, {"a": 6, "b": 8}).p == pytest.approx(1.0)
    assert population_stability({"a": 3, "b": 4}, {"a": 6, "b": 8}) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("one", "other", "statistic", "p"),
    [
        ([10, 10, 20], [20, 20, 20], 2.7777777777777777, 0.24935220877729622),  # SciPy's own example
        ([50, 30, 15, 5], [40, 35, 20, 5], 2.21001221001221, 0.5299789714921574),
        ([500, 300], [450, 350], 6.477732793522268, 0.010923422995323489),
    ],
)
def test_the_distance_of_categories_is_pearsons(one, other, statistic, p):
    found = chi_square(*(dict(zip("abcd", counts, strict=False)) for counts in (one, other)))
    assert (found.statistic, found.p) == (pytest.approx(statistic), pytest.approx(p, rel=1e-9))


def test_one_category_is_no_distance():
    assert chi_square({"a": 3}, {"a": 9}).p == 1.0


def test_the_stability_index_adds_up_the_shifts_of_the_shares():
    expected = (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.6 - 0.5) * math.log(0.6 / 0.5)
    assert population_stability({"a": 50, "b": 50}, {"a": 40, "b": 60}) == pytest.approx(expected)
    assert population_stability({"a": 50, "b": 50}, {"a": 100}) > 0.2, "a class that is gone is a shift that matters"


def test_bins_hold_equally_many_of_the_baseline():
    base = list(range(100))
    before, after = binned(base, [each + 50 for each in base])
    assert set(before.values()) == {10}
    assert after["0"] == 0
    assert sum(after.values()) == 100
    assert binned([1.0] * 5, [1.0] * 7) == ({"0": 0, "1": 5}, {"0": 0, "1": 7})


def test_chance_alone_is_seldom_called_a_drift():
    """Of 300 pairs of samples of one distribution, about one in a hundred has a p-value below 0.01."""
    chance = random.Random(7)
    below = sum(
        kolmogorov_smirnov([chance.random() for _ in range(40)], [chance.random() for _ in range(30)]).p < 0.01
        for _ in range(300)
    )
    assert below <= 9


def test_spread_is_measured_as_numpy_and_scipy_do():
    assert entropy([9, 1]) == pytest.approx(0.46899559358928117)
    assert entropy([3, 5, 2]) == pytest.approx(1.4854752972273346)
    assert entropy([4]) == 0.0
    assert quantile([1, 2, 3, 4], 0.95) == pytest.approx(3.85)
    assert quantile([], 0.5) is None
    assert standard_deviation([2, 4, 4, 4, 5, 5, 7, 9]) == 2.0
    assert thinned([3, 1, 2], 5) == [1, 2, 3]
    assert thinned(range(101), 5) == [0, 25, 50, 75, 100]
