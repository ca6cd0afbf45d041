"""Tests which records an incremental run takes, and how what it has read is joined."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.definition.reader import parse
from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.incremental.window import Point, Window, joined, judged, point_of, start_of, window_of
from loom_common.errors import InvalidDefinition, RecordError

BY_TIME = IncrementalConfig(column="at", lag="1h")
BY_NUMBER = IncrementalConfig(column="n", lag=2)


def at(clock, zone="Z"):
    return point_of(f"2026-03-01T{clock}:00{zone}", BY_TIME)


def number(value):
    return point_of(value, BY_NUMBER)


BEFORE = Window(newest=at("10:00"), read={"tie": at("10:00"), "known": at("09:30")})


@pytest.mark.parametrize(
    ("clock", "record_id", "taken"),
    [
        ("10:01", "x", "new"),
        ("10:00", "x", "new"),
        ("10:00", "tie", "read"),
        ("09:30", "known", "read"),
        ("09:30", "x", "late"),
        ("09:40", "known", "late"),
        ("09:20", "known", "old"),
        ("09:00", "x", "late"),
        ("08:59", "x", "old"),
    ],
)
def test_a_record_is_new_late_read_or_old(clock, record_id, taken):
    assert judged(at(clock), record_id, BEFORE, BY_TIME) == taken


def test_the_first_run_takes_what_is_not_below_the_start():
    config = IncrementalConfig(column="at", start="2026-03-01")
    assert judged(at("00:00"), "x", None, config) == "new"
    assert judged(at("00:30", "+01:00"), "x", None, config) == "old"
    assert start_of(BY_TIME) is None


@pytest.mark.parametrize("value", [None, "", "soon", "2026-03-01T10:00:00", [1]])
def test_a_value_that_tells_nothing_is_refused(value):
    with pytest.raises(RecordError, match="cannot tell whether the record is new"):
        point_of(value, BY_TIME)


def test_a_time_without_a_zone_is_in_the_zone_of_the_settings():
    config = IncrementalConfig(column="at", zone="Europe/Berlin")
    assert point_of("2026-03-01T11:00:00", config) == at("10:00")


def test_a_number_is_not_compared_with_a_time():
    with pytest.raises(RecordError, match="it is a number, and the mark is a time"):
        judged(number(5), "x", BEFORE, BY_TIME)


VALUES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 9), min_size=1)


@given(VALUES, VALUES, VALUES)
def test_windows_may_be_joined_in_any_order_and_twice(one, other, third):
    a, b, c = (window_of({k: number(v) for k, v in each.items()}, BY_NUMBER) for each in (one, other, third))
    assert joined([a, b], 2) == joined([b, a], 2) == joined([a, b, b], 2)
    assert joined([a, joined([b, c], 2)], 2) == joined([joined([a, b], 2), c], 2)


@given(st.lists(st.integers(0, 20), min_size=1), st.integers(0, 25))
def test_no_record_is_taken_twice_or_left_out_by_runs_that_follow_each_other(values, divided):
    """Records come in two parts; the second run sees all of them."""
    records = {f"r{at}": number(value) for at, value in enumerate(values)}
    first = dict(list(records.items())[:divided])
    window = window_of(first, BY_NUMBER)
    taken = {name for name, point in records.items() if judged(point, name, window, BY_NUMBER) in ("new", "late")}
    assert not taken & first.keys()
    least = None if window is None else window.newest.below(2).order
    wanted = {name for name, point in records.items() if name not in first and (least is None or point.order >= least)}
    assert taken == wanted


def test_times_and_numbers_have_an_order_and_a_lag():
    assert at("10:00").below("1h") == at("09:00")
    assert at("10:00").below(60.0) == at("09:59")
    assert number("5").below(2).order == 3
    assert Point(kind="time", text="1970-01-01T00:00:00+00:00").order == 0
    assert at("10:00").order - at("09:00").order == dt.timedelta(hours=1) // dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("extract", "load", "words"),
    [
        ({"key": None}, {}, "by which incremental extraction knows a record again"),
        ({"incremental": {"column": "at", "zone": "Nowhere"}}, {}, "a time zone"),
        ({"incremental": {"column": "at", "start": "soon"}}, {}, "a number, or a date or time"),
        ({}, {"mode": "replace"}, "`append` or `upsert`"),
        ({}, {"mode": None}, "`mode: append` or `mode: upsert`"),
    ],
)
def test_what_does_not_fit_is_a_mistake(extract, load, words):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "key": "id", "incremental": "at", **extract},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv", "mode": "append", **load},
    }
    with pytest.raises(InvalidDefinition) as refused:
        parse(definition)
    assert words in str(refused.value)


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_that_utc_has_no_year_for_is_refused(value):
    with pytest.raises(RecordError, match="before the year 1 or after the year 9999"):
        point_of(value, BY_TIME)


def test_below_the_first_time_there_is_nothing():
    # Programs write the year 1 where they have no time.
    first = point_of("0001-01-01T00:00:00Z", BY_TIME)
    assert first.below("1h") == first
    assert judged(first, "x", Window(newest=first), BY_TIME) == "new"


@pytest.mark.parametrize("value", [10**40 + 1, "0." + "1" * 40, "1e-9999"])
def test_a_mark_of_any_number_of_digits_is_exact(value):
    mark = number(value)
    assert mark.below(0.0).order == mark.order
    above = number(10**40 + 2) if value == 10**40 + 1 else number(1)
    assert judged(above, "x", Window(newest=mark), IncrementalConfig(column="n")) == "new"
