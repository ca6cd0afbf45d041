"""Tests what each quality check says of a value, and what a run's counts come to."""

import datetime as dt

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.quality.kinds import CHECKS, named
from loom_common.domain.quality.outcomes import Counted, kept_back, miss_of, newest_of, verdicts
from loom_common.domain.quality.rules import rule_of
from loom_common.errors import InvalidDefinition

BEGAN = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HOLD, MISS = True, False


def checks(*written):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "quality_checks": list(written)},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv"},
    }
    return parse(definition).extract.quality_checks


def check(kind, **keys):
    [made] = checks({"check": kind, "column": "f", **keys})
    return made


@pytest.mark.parametrize(
    ("kind", "keys", "holding", "missing"),
    [
        ("not_null", {}, ["x", 0, False, []], [None, ""]),
        ("regex", {"pattern": r"^\d+$"}, ["12", 12, None], ["a", "", True]),
        ("range", {"min_value": 1, "max_value": 2.5}, [1, "2.5", "1e0", None, ""], [0.9, "3", "x", True, [1], "nan"]),
        ("range", {"min_value": "2024-02-29"}, ["2024-02-29", "2024-03-01T00:00"], ["2024-02-28", "2024", 5]),
        ("range", {"max_value": "2024-01-01T00:00:00Z"}, ["2024-01-01T00:59:00+01:00"], ["2023-12-31T00:00"]),
        ("enum", {"values": ["a", 1, None]}, ["a", 1, None], ["A", "1", 2, ""]),
        ("enum", {"values": ["Yes"], "case_sensitive": False}, ["YES"], ["no"]),
        ("type", {"type": "integer"}, [1, "12", 3.0, "-4", None, ""], ["1.5", 1.5, True, "1_0"]),
        ("type", {"type": "integer", "strict": True}, [1], ["1"]),
        ("type", {"type": "number"}, [1.5, "1.5", "1e9"], ["x", False]),
        ("type", {"type": "boolean"}, [True, "true", "False"], ["yes", 1]),
        ("type", {"type": "date"}, ["2024-01-31"], ["2024-02-31", "31.1.2024"]),
        ("type", {"type": "datetime"}, ["2024-01-31T10:00:00Z", "2024-01-31"], ["10:00"]),
        ("type", {"type": "array"}, [[1]], [{}]),
        ("length", {"min": 1, "max": 2}, ["ab", [1], None], ["", "abc", 7, [1, 2, 3]]),
    ],
)
def test_a_value_holds_a_check_or_misses_it(kind, keys, holding, missing):
    rule = rule_of(check(kind, **keys))
    assert [value for value in holding if rule(value) is not None] == []
    assert [value for value in missing if rule(value) is None] == []


def test_checks_that_need_more_than_a_record_have_no_rule():
    more = {"check": "reference", "column": "f", "source": "o.csv"}, {"check": "custom", "function": "m:f"}
    assert [rule_of(each) for each in checks(*more, {"check": "row_count", "min": 1})] == [None] * 3


def test_each_check_of_a_stage_has_a_name_of_its_own():
    same = {"check": "not_null", "column": "f"}
    assert [
        name for name, _ in named(checks(same, same, {**same, "name": "mine"}, {"check": "row_count", "max": 1}))
    ] == [
        "f_not_null",
        "f_not_null_2",
        "mine",
        "row_count",
    ]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"check": "regexx", "column": "f"}, "Did you mean 'regex'?"),
        ({"column": "f"}, "expected `check`: one of 'not_null'"),
        ({"check": "regex", "column": "f", "pattern": "("}, "quality_checks[0].pattern: found '('"),
        ({"check": "regex", "colum": "f", "pattern": "x"}, "Did you mean 'column'?"),
        ({"check": "range", "column": "f"}, "`min_value` or `max_value`, which range needs"),
        ({"check": "range", "column": "f", "min_value": 2, "max_value": 1}, "no less than `min_value` (2)"),
        ({"check": "range", "column": "f", "min_value": 2, "max_value": "2024-01-01"}, "of the kind of `min_value`"),
        ({"check": "row_count", "min": 1, "action": "dlq"}, "one of fail, warn"),
        (
            {"check": "not_null", "column": "f", "min_share": 0.5, "max_share": 0.5},
            "one of `max_share` and `min_share`",
        ),
        ({"check": "freshness", "column": "f", "max_age": "1d", "zone": "Nowhere"}, "a time zone"),
    ],
)
def test_a_mistake_in_a_check_is_placed(written, words):
    with pytest.raises(InvalidDefinition) as refused:
        checks(written)
    assert words in str(refused.value)
    assert "extract.quality_checks[0]" in str(refused.value)


@pytest.mark.parametrize(
    ("written", "found", "meant"),
    [
        ({"check": "range", "column": "f", "min": 0}, "min", "min_value"),
        ({"check": "range", "column": "f", "maximum": 9}, "maximum", "max_value"),
        ({"check": "row_count", "min_value": 1}, "min_value", "min"),
        ({"check": "length", "column": "f", "min": 1, "max_length": 9}, "max_length", "max"),
    ],
)
def test_a_bound_that_is_named_as_in_another_check_is_told_with_its_name_here(written, found, meant):
    with pytest.raises(InvalidDefinition) as caught:
        checks(written)
    [problem] = [each for each in caught.value.problems if found in each.found]
    assert problem.suggestion == meant
    assert "belongs to" not in problem.expected


def test_a_key_of_another_check_is_not_sent_to_where_it_stands():
    with pytest.raises(InvalidDefinition) as caught:
        checks({"check": "not_null", "column": "f", "pattern": "x"})
    [problem] = caught.value.problems
    assert problem.expected.endswith("one of action, check, column, max_share, min_share, name")


def test_two_checks_of_one_name_are_refused():
    one = {"check": "not_null", "column": "f", "name": "mine"}
    with pytest.raises(InvalidDefinition, match="mine stands twice"):
        checks(one, one)


def test_dlq_is_another_name_of_quarantine():
    assert check("not_null", action="dlq").action == "quarantine"


def test_what_keeps_a_record_back_names_check_field_and_value_and_shows_no_endless_value():
    error = kept_back(
        [miss_of("m", check("not_null"), {"f": "x" * 1000 + "\x00"}, "why"), miss_of("n", check("not_null"), {}, "y")]
    )
    assert str(error) == "'f' misses the check 'm': why (and 1 more: n)"
    assert (error.details["check"], error.details["field"]) == ("m", "f")
    assert len(error.details["value"]) <= 100
    assert error.details["others"][0]["value"] == "(missing)"


@pytest.mark.parametrize(
    ("written", "counted", "outcome"),
    [
        ({"check": "row_count", "min": 5}, Counted(5), "passed"),
        ({"check": "row_count", "min": 5}, Counted(4), "failed"),
        ({"check": "row_count", "max": 5, "action": "warn"}, Counted(6), "warned"),
        ({"check": "not_null", "column": "f"}, Counted(10, 1), "quarantined"),
        ({"check": "not_null", "column": "f", "max_share": 0.1}, Counted(10, 1), "quarantined"),
        ({"check": "not_null", "column": "f", "max_share": 0.1}, Counted(10, 2), "failed"),
        ({"check": "not_null", "column": "f", "min_share": 0.9, "action": "warn"}, Counted(10, 1), "passed"),
        ({"check": "not_null", "column": "f", "min_share": 0.9, "action": "warn"}, Counted(10, 2), "warned"),
        ({"check": "not_null", "column": "f", "action": "warn"}, Counted(10, 1), "warned"),
        ({"check": "not_null", "column": "f", "action": "fail"}, Counted(1, 1), "failed"),
        ({"check": "freshness", "column": "f", "max_age": "1d"}, Counted(1, 0, BEGAN.timestamp() - 86_400), "passed"),
        ({"check": "freshness", "column": "f", "max_age": "1d"}, Counted(1, 0, BEGAN.timestamp() - 86_401), "failed"),
        ({"check": "freshness", "column": "f", "max_age": "1d"}, Counted(1), "failed"),
    ],
)
def test_a_run_is_judged_by_what_its_checks_counted(written, counted, outcome):
    [(name, _)] = named(checks(written))
    [whole] = verdicts(checks(written), {name: counted}, BEGAN, whole=True)
    [part] = verdicts(checks(written), {name: counted}, BEGAN, whole=False)
    assert whole.outcome == outcome
    assert part.broken is None


def test_counts_of_parts_add_up_in_any_order():
    one, other = Counted(3, 1, 5.0), Counted(4, 0, None)
    assert one + other == other + one == Counted(7, 1, 5.0)


def test_a_time_without_a_zone_counts_only_where_the_check_names_one():
    naive = ["2026-01-01T00:00:00", "x", None]
    assert newest_of(check("freshness", max_age="1d"), naive) is None
    berlin = newest_of(check("freshness", max_age="1d", zone="Europe/Berlin"), naive)
    assert berlin == dt.datetime(2025, 12, 31, 23, tzinfo=dt.UTC).timestamp()


def test_every_check_is_named_in_the_documentation_of_its_kinds():
    assert sorted(CHECKS) == sorted(
        [
            "not_null",
            "ontology",
            "unique",
            "regex",
            "range",
            "enum",
            "type",
            "length",
            "freshness",
            "row_count",
            "reference",
            "custom",
        ]
    )
