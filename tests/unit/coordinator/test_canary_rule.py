"""Tests what decides on a version on trial: a table of figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.definition.streams.canary import CanaryConfig
from loom_coordinator.lifecycle.streams.canary_rule import Standing, judged

RULE = CanaryConfig(windows=2, records=100, max_score_drop=0.05, max_kept_back_factor=1.5, max_cost_factor=1.2)
STABLE = Standing(records=900, kept_back=0.10, score=0.80, cost_per_record=0.0010)
CANARY = Standing(records=100, kept_back=0.10, score=0.80, cost_per_record=0.0010)


def decided(stable: Standing = STABLE, windows: int = 2, rule: CanaryConfig = RULE, **of_canary: object) -> str:
    return judged(rule, stable, replace(CANARY, **of_canary), windows).decision


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({}, "promote"),
        ({"windows": 1}, "wait"),
        ({"records": 99}, "wait"),
        ({"stable": replace(STABLE, records=99)}, "wait"),
        ({"score": 0.75}, "promote"),
        ({"score": 0.749}, "roll_back"),
        ({"score": 0.9}, "promote"),
        ({"score": None}, "roll_back"),
        ({"stable": replace(STABLE, score=None), "score": None}, "promote"),
        ({"stable": replace(STABLE, score=None), "score": 0.1}, "promote"),
        ({"kept_back": 0.15}, "promote"),
        ({"kept_back": 0.151}, "roll_back"),
        ({"stable": replace(STABLE, kept_back=0.0), "kept_back": 0.01}, "promote"),
        ({"stable": replace(STABLE, kept_back=0.0), "kept_back": 0.02}, "roll_back"),
        ({"cost_per_record": 0.0012}, "promote"),
        ({"cost_per_record": 0.00121}, "roll_back"),
        ({"stable": replace(STABLE, cost_per_record=0.0), "cost_per_record": 0.0}, "promote"),
        ({"stable": replace(STABLE, cost_per_record=0.0), "cost_per_record": 0.0001}, "roll_back"),
        ({"rule": RULE.model_copy(update={"max_cost_factor": None}), "cost_per_record": 9.0}, "promote"),
        ({"rule": RULE.model_copy(update={"max_score_drop": None}), "score": 0.0}, "promote"),
        ({"rule": RULE.model_copy(update={"max_kept_back_factor": None}), "kept_back": 1.0}, "promote"),
    ],
)
def test_a_version_is_decided_on_by_its_figures(changes, decision):
    assert decided(**changes) == decision


def test_each_figure_that_is_worse_is_told_with_both_numbers():
    worse = judged(RULE, STABLE, Standing(200, 0.3, 0.5, 0.01), 2)
    assert worse.reason == (
        "its mean score 0.500 is 0.300 below 0.800 (max_score_drop 0.05); it keeps back 30.00% of its records, and the "
        "other version 10.00% (max_kept_back_factor 1.5); a record costs $0.0100, and $0.0010 with the other version "
        "(max_cost_factor 1.2)"
    )
    assert judged(RULE, STABLE, CANARY, 1).reason == (
        "1 of 2 windows have ended, with 100 records of the version on trial and 900 of the other one, of 100 that are "
        "needed of each"
    )
    assert judged(RULE, STABLE, CANARY, 2).reason == (
        "it is no worse over 100 records: mean score 0.800 beside 0.800, 10.00% kept back beside 10.00%, $0.0010 a "
        "record beside $0.0010"
    )


@given(st.integers(0, 300), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 4), st.integers(0, 300))
def test_a_version_like_the_other_one_is_never_rolled_back_and_a_better_one_is_as_good(
    records, kept, score, cost, windows, others
):
    stable = Standing(others, kept, score, cost)
    same = judged(RULE, stable, replace(stable, records=records), windows).decision
    assert same == ("promote" if windows >= 2 and min(records, others) >= 100 else "wait")
    better = Standing(records, kept / 2, (1 + score) / 2, cost / 2)
    assert judged(RULE, stable, better, windows).decision == same
