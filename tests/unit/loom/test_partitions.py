"""Tests the values that a parameter takes in a backfill."""

from __future__ import annotations

import pytest

from loom.cli.commands.starting.partitions import Every, partitions


@pytest.mark.parametrize(
    ("start", "until", "every", "kind", "expected"),
    [
        ("2024-02-28", "2024-03-01", "day", "date", ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ("2024-01-31", "2024-04-01", "month", "date", ["2024-01-31", "2024-02-29", "2024-03-31"]),
        ("2023-12-25", "2024-01-08", "week", "string", ["2023-12-25", "2024-01-01", "2024-01-08"]),
        ("2024-01-01", "2024-01-01", "day", "date", ["2024-01-01"]),
        ("2024-01-01", "2024-01-02", "day", "datetime", ["2024-01-01T00:00:00", "2024-01-02T00:00:00"]),
        ("2024-01-01T22:00", "2024-01-01", "hour", "datetime", ["2024-01-01T22:00:00", "2024-01-01T23:00:00"]),
        (
            "2024-01-01T00:00Z",
            "2024-01-01T01:30Z",
            "hour",
            "string",
            ["2024-01-01T00:00:00+00:00", "2024-01-01T01:00:00+00:00"],
        ),
        ("9999-12-31", "9999-12-31", "day", "date", ["9999-12-31"]),
    ],
)
def test_the_values_of_a_range(start, until, every, kind, expected):
    assert partitions(start, until, Every(every), kind) == expected


@pytest.mark.parametrize(
    ("start", "until", "every", "kind", "words"),
    [
        ("2024-01-02", "2024-01-01", "day", "date", "2024-01-02 is after 2024-01-01"),
        ("yesterday", "2024-01-01", "day", "date", "'yesterday' is no day"),
        ("2024-01-01", "2024-01-02", "hour", "date", "hours need a parameter of type datetime"),
        ("2024-01-01", "2024-01-02", "day", "integer", "of type integer"),
        ("2024-01-01T05:00", "2024-01-02", "day", "date", "give days"),
        ("2024-01-01T05:00Z", "2024-01-02", "day", "datetime", "name a zone"),
        ("2000-01-01", "2024-01-02", "hour", "datetime", "more than 10,000"),
    ],
)
def test_what_is_no_range_is_refused(start, until, every, kind, words):
    with pytest.raises(ValueError, match=words):
        partitions(start, until, Every(every), kind)
