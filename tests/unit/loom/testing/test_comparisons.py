"""Tests what an expectation lets through, as a table: of one record, and of many."""

import pytest

from loom.testing.compare.distribution import Comparison, FieldValues, compare_field
from loom.testing.compare.record import RecordOutcome, failures
from loom.testing.definition.bounds import Bounds
from loom.testing.definition.expectations import FieldExpectation, UnitExpectation

OUTPUT = {"mood": "positive", "sure": 0.9, "tags": ["a", "b"], "by": {"who": "Ann"}, "new": True, "none": None}
PASSED = RecordOutcome(passed=True, output=OUTPUT, scores={"judge": 0.8})
KEPT = RecordOutcome(
    passed=False, output=None, scores={}, stage="transform", code="invalid_output", reason="The answer is no JSON"
)


@pytest.mark.parametrize(
    "expected",
    [
        {"gate": "passes"},
        {"exact": {"mood": "positive", "sure": 0.9, "tags": ["a", "b"], "by": {"who": "Ann"}, "none": None}},
        {"exact": {"by.who": "Ann"}},
        {"schema": {"required": ["mood"], "properties": {"sure": {"maximum": 1}}}},
        {"regex": {"mood": "^pos", "tags": "b"}},
        {"contains": {"mood": "POSIT", "by.who": ["an", "n"]}},
        {"range": {"sure": {"min": 0.9, "max": 1}}},
        {"scores": {"judge": {"value": 0.75, "within": 0.05}}},
    ],
)
def test_what_holds_is_no_failure(expected):
    assert failures(UnitExpectation.model_validate(expected), PASSED) == []


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"gate": "fails"}, "gate: expected fails, found passes"),
        ({"exact": {"mood": "negative"}}, 'exact.mood: expected "negative", found "positive"'),
        ({"exact": {"new": 1}}, "exact.new: expected 1, found true"),
        ({"exact": {"gone": None}}, "exact.gone: expected null, found no such field"),
        ({"schema": {"properties": {"sure": {"maximum": 0.5}}}}, "schema: expected an output that fits the schema"),
        ({"regex": {"mood": "^neg"}}, 'regex.mood: expected a match of ^neg, found "positive"'),
        ({"contains": {"mood": ["pos", "neg"]}}, 'contains.mood: expected "neg", found "positive"'),
        ({"range": {"sure": {"max": 0.5}}}, "range.sure: expected 0.5 at most, found 0.9"),
        ({"range": {"new": {"max": 5}}}, "range.new: expected 5 at most, found true"),
        ({"scores": {"judge": {"min": 0.9}}}, "scores.judge: expected 0.9 at least, found 0.8"),
        ({"scores": {"jugde": 1}}, "scores.jugde: expected 1, found no score (scores were given by: judge)"),
        ({"kept": {"code": "gate"}}, "kept: expected a record that is kept back, found a record that passes"),
    ],
)
def test_what_does_not_hold_is_told(expected, words):
    (failure,) = failures(UnitExpectation.model_validate(expected), PASSED)
    assert str(failure).startswith(words)


def test_a_record_that_was_kept_back_says_why():
    expected = UnitExpectation.model_validate({"gate": "passes", "exact": {"mood": "x"}})
    assert [str(each) for each in failures(expected, KEPT)] == [
        "gate: expected passes, found fails (The answer is no JSON)",
        "output: expected an output, found none (The answer is no JSON)",
    ]
    kept = {"kept": {"stage": "transform", "code": "invalid_output", "reason": "no JSON"}, "gate": "fails"}
    assert failures(UnitExpectation.model_validate(kept), KEPT) == []
    wrong = {"kept": {"stage": "evaluate", "code": "gate", "reason": "below"}}
    assert len(failures(UnitExpectation.model_validate(wrong), KEPT)) == 3


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [(0.3, [0.3, 0.1 + 0.2], [0.31]), ({"min": 1}, [1, 5], [0.99]), ({"value": 2, "within": 0.5}, [1.5, 2.5], [2.51])],
)
def test_both_ends_of_bounds_belong_to_them(bounds, inside, outside):
    made = Bounds.model_validate(bounds)
    assert all(map(made.holds, inside))
    assert not any(map(made.holds, outside))


OUTPUTS = [{"mood": "good", "n": 1}, {"mood": "good", "n": 2}, {"mood": "bad", "n": 3}, {"mood": None}]


@pytest.mark.parametrize(
    ("name", "expected", "base", "failed"),
    [
        ("mood", {"share": {"good": 0.5, "bad": 0.25, "ugly": 0}, "missing": 0.25, "distinct": 2}, None, []),
        ("mood", {"entropy": {"value": 0.918, "within": 0.001}}, None, []),
        ("n", {"mean": 2, "std": {"max": 0.82}, "quantiles": {"p50": 2, "p100": 3}}, None, []),
        ("n", {"share": {"1": 0.25}}, None, []),
        ("mood", {"share": {"good": {"max": 0.4}}}, None, ["fields.mood.share.good"]),
        ("mood", {"mean": {"min": 0}}, None, ["fields.mood.mean"]),
        ("gone", {"entropy": {"min": 0}}, None, ["fields.gone.entropy"]),
        ("mood", {"drift": {}}, None, ["fields.mood.drift"]),
        ("mood", {"drift": {}}, {"good": 20, "bad": 10}, []),
        ("mood", {"drift": {"test": "psi"}}, {"good": 1, "bad": 30}, ["fields.mood.drift.psi.index"]),
        ("mood", {"drift": {"min_p": 0.05}}, {"good": 1, "bad": 90}, ["fields.mood.drift.chi_square.p"]),
        ("n", {"drift": {}}, [1.0, 2.0, 3.0], []),
        ("n", {"drift": {"max": 0.5}}, [7.0, 8.0, 9.0], ["fields.n.drift.ks.statistic"]),
        ("mood", {"drift": {"test": "ks"}}, {"good": 1}, ["fields.mood.drift"]),
    ],
)
def test_the_spread_of_a_field_is_compared(name, expected, base, failed):
    to = Comparison()
    compare_field(to, name, FieldExpectation.model_validate(expected), FieldValues.of(OUTPUTS, name), base)
    assert [each.what for each in to.failures] == failed
