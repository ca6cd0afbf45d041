"""Tests the places in sources that people name: what they mean."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_common.errors import ConfigurationError
from loom_connectors.ports.places import NamedPlace, shown

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)


def named(text):
    return NamedPlace(text, NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", "2026-11-28T10:00:00Z"),
        ("1.5d", "2026-11-27T00:00:00Z"),
        ("250ms", "2026-11-28T11:59:59.750Z"),
        ("2026-11-01T06:00:00+02:00", "2026-11-01T04:00:00Z"),
        ("2026-11-01T06:00:00", None),
        ("2026-11-01", None),
        ("99999999999d", None),
        ("yesterday", None),
        ("0:120", None),
        ("1762000000000-0", None),
        ("", None),
    ],
)
def test_a_time_is_one_with_its_zone_or_so_long_ago(text, moment):
    found = named(text).moment
    assert (None if found is None else shown(found)) == moment


def test_what_a_source_cannot_read_is_named_with_what_it_reads():
    with pytest.raises(ConfigurationError, match=r"^'x' is no place in here: it is none\. Expected another one\.$"):
        named("x").refuse("here", "another one", "it is none")
