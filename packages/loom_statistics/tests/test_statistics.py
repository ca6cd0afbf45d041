"""Tests the three steps by values whose statistics are known, and in a run of Loom."""

from __future__ import annotations

import json

import numpy as np
import pytest
from loom_statistics.distributions import Distributions, family_of
from loom_statistics.drift import Drift, p_of_categories
from loom_statistics.numbers import number
from loom_statistics.outliers import Outliers, apart

import loom
from loom import SyncLoom
from loom.offered.steps import list_steps
from loom.plugins import list_plugins

RANDOM = np.random.default_rng(7)


def built(model, **keys):
    return model(type="test", **keys).build()


@pytest.mark.parametrize(
    ("value", "read"), [(3, 3.0), ("2.5", 2.5), (" 7 ", 7.0), ("x", None), (None, None), (True, None), ("inf", None)]
)
def test_numbers_are_read_out_of_texts(value, read):
    assert (None if np.isnan(number(value)) else number(value)) == read


@pytest.mark.parametrize(
    ("values", "family"),
    [
        (RANDOM.normal(10, 2, 500), "normal"),
        (RANDOM.lognormal(1, 1, 500), "lognormal"),
        (RANDOM.exponential(3, 500) - 1, "exponential"),
        (RANDOM.uniform(0, 1, 500), "uniform"),
        (np.array([0.0] * 50 + [1.0] * 50), None),
        (np.array([4.0] * 20), None),
    ],
)
def test_the_family_of_a_distribution_is_found(values, family):
    assert family_of(np.sort(values)) == family


def test_a_record_knows_its_place_in_the_batch():
    found = built(Distributions, fields=["a"])([{"a": "3"}, {"a": 1}, {"a": None}, {"a": 2}])
    assert [each["a_percentile"] for each in found] == [1.0, pytest.approx(1 / 3), None, pytest.approx(2 / 3)]
    assert {each["a_distribution"] for each in found} == {None}


@pytest.mark.parametrize("method", ["mad", "zscore", "iqr", "mahalanobis"])
def test_one_value_far_away_is_an_outlier(method):
    records = [{"a": 10 + each % 5, "b": each % 3} for each in range(40)] + [{"a": 900, "b": 1}, {"a": None, "b": 1}]
    found = built(Outliers, fields=["a", "b"], method=method)(records)
    assert [at for at, each in enumerate(found) if each["is_outlier"]] == [40]
    assert "a" in found[40]["outlier_fields"]
    json.dumps(found, allow_nan=False)


def test_where_the_others_are_all_the_same_another_value_is_infinitely_far():
    assert list(apart(np.array([1.0] * 9 + [2.0]), "mad") > 1e300) == [False] * 9 + [True]
    few = built(Outliers, fields=["a"])([{"a": 1}, {"a": 99}])
    assert [(each["is_outlier"], each["outlier_score"]) for each in few] == [(False, None)] * 2


def test_a_batch_that_is_distributed_otherwise_has_drifted():
    sample = list(RANDOM.normal(0, 1, 200))
    drift = built(Drift, reference={"a": sample, "c": {"x": 0.5, "y": 0.5}})
    same = [{"a": value, "c": "xy"[at % 2]} for at, value in enumerate(RANDOM.normal(0, 1, 100))]
    moved = [{**each, "a": each["a"] + 2} for each in same]
    assert {each["drifted"] for each in drift(same)} == {False}
    assert {(each["drifted"], tuple(each["drift_fields"])) for each in drift(moved)} == {(True, ("a",))}
    assert drift([{"a": 1}])[0] == {"drifted": False, "drift_p": None, "drift_fields": []}


@pytest.mark.parametrize(
    ("values", "p"), [(["x"] * 5 + ["y"] * 5, 1.0), (["x"] * 10, None), (["z"] * 10, 0.0), (["x"] * 3, None)]
)
def test_categories_are_compared_with_their_shares(values, p):
    found = p_of_categories(values, {"x": 1, "y": 1})
    if p is None:
        assert found is None or found < 0.01
    else:
        assert found == pytest.approx(p)


def test_loom_finds_the_steps_and_takes_batches_through_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {each.name for each in list_plugins(check=True) if each.package == "loom-statistics"} == {
        "distributions", "outliers", "drift",
    }  # fmt: skip
    assert [each.problem for each in list_steps()] == [None] * len(list_steps())
    lines = [f"{at},{900 if at == 7 else 10 + at % 5}" for at in range(60)]
    (tmp_path / "payments.csv").write_text("\n".join(["id,amount", *lines]))
    loaded = []
    pipeline = loom.Pipeline(
        name="payments",
        extract={"source": "payments.csv", "key": "id", "batch_size": 30},
        transform={
            "steps": [
                {"name": "shape", "type": "distributions", "fields": ["amount"]},
                {"name": "odd", "type": "outliers", "fields": ["amount"]},
                {"name": "kept", "type": "filter", "where": "is_outlier", "needs": "odd"},
            ]
        },
        load={"destination": loaded.extend},
    )
    result = SyncLoom().run(pipeline, {})
    assert (result.status, result.report.records["filtered"]) == ("succeeded", 59)
    assert [(row["outlier_fields"], row["amount_percentile"]) for row in loaded] == [(["amount"], 1.0)]
