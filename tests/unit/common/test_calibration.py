"""Tests curves that turn scores into probabilities, and the files that hold them."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.checks.calibrator import KIND, parsed
from loom_common.statistics.calibration import Isotonic, Platt, fitted, out_of_fold, read
from loom_common.statistics.reliability import expected_calibration_error

OUTCOMES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({outcome for _, outcome in pairs}) == 2
)


def drawn(count, slope=6.0, intercept=-2.0):
    chance = random.Random(5)
    scores = [chance.random() for _ in range(count)]
    return scores, [chance.random() < 1 / (1 + math.exp(-(slope * each + intercept))) for each in scores]


def test_platt_finds_the_curve_that_the_outcomes_were_drawn_from():
    curve = fitted("platt", *drawn(4_000))
    assert (curve.slope, curve.intercept) == (pytest.approx(-6.0, abs=0.4), pytest.approx(2.0, abs=0.25))


def test_isotonic_is_the_mean_of_pooled_blocks():
    curve = fitted("isotonic", [1, 2, 3, 4, 5, 6], [False, True, False, False, True, True])
    assert [curve(score) for score in (0, 1, 3, 4, 5, 7)] == pytest.approx([0, 0, 1 / 3, 1 / 3, 1, 1])
    assert curve(4.5) == pytest.approx((1 / 3 + 1) / 2)


def test_isotonic_does_not_fall_by_a_rounding_before_a_point():
    # Between the first and the second point, the rounded sum 1/9 + 1.0 * (2/3 - 1/9) is more than 2/3.
    curve = Isotonic((0.0, 1.0, 2.0), (1 / 9, 2 / 3, 2 / 3))
    assert curve(1.0) == curve(2.0) == 2 / 3


@given(OUTCOMES, st.sampled_from(["platt", "isotonic"]))
def test_a_curve_gives_probabilities_and_isotonic_ones_rise(pairs, method):
    scores, came_true = [score for score, _ in pairs], [outcome for _, outcome in pairs]
    curve = fitted(method, scores, came_true)
    given = [curve(score) for score in sorted(scores)]
    assert all(0.0 <= each <= 1.0 for each in given)
    assert read(json.loads(json.dumps(curve.as_json()))) == curve
    if method == "isotonic":
        assert given == sorted(given)
        assert sum(map(curve, scores)) == pytest.approx(sum(came_true))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_scores_that_a_curve_has_not_seen_are_calibrated(method):
    scores, came_true = drawn(3_000)
    found = out_of_fold(method, scores, came_true, 5, seed=0)
    assert expected_calibration_error(scores, came_true) > 0.1
    assert expected_calibration_error(found, came_true) < 0.035
    assert found == out_of_fold(method, scores, came_true, 5, seed=0)
    assert out_of_fold(method, [0.1, 0.9], [False, True], 2, seed=0) is None


def test_nothing_is_learned_from_outcomes_that_are_all_the_same():
    with pytest.raises(ValueError, match="all outcomes are the same"):
        fitted("platt", [0.1, 0.2], [True, True])


def test_scores_that_do_not_vary_get_the_share_that_came_true():
    assert fitted("platt", [0.5] * 8, [True] * 6 + [False] * 2)(0.5) == pytest.approx(0.7, abs=0.05)
    assert fitted("isotonic", [0.5] * 8, [True] * 6 + [False] * 2)(0.5) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: pipeline", "it is no JSON"),
        ("[]", "`kind`, `of` and `curve` are missing"),
        ('{"kind": "loom calibrator 9", "of": "x", "curve": {}}', "its kind is 'loom calibrator 9'"),
        (json.dumps({"kind": KIND, "of": "x", "curve": {"method": "platt", "slope": "1"}}), "no curve"),
        (json.dumps({"kind": KIND, "of": "x", "curve": Isotonic((2, 1), (0.1, 0.2)).as_json()}), "no curve"),
        (json.dumps({"kind": KIND, "of": "x", "curve": Isotonic((1, 2), (0.3, 1.2)).as_json()}), "no curve"),
        (json.dumps({"kind": KIND, "of": "x", "curve": Isotonic((1,), (0.3, 0.4)).as_json()}), "no curve"),
    ],
)
def test_a_file_that_is_no_calibrator_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parsed(text)


def test_a_calibrator_file_is_read_as_it_was_written():
    written = parsed(json.dumps({"kind": KIND, "of": "confidence", "curve": Platt(-2.0, 0.5).as_json()}))
    assert (written.of, written.curve) == ("confidence", Platt(-2.0, 0.5))
