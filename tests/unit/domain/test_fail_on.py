"""Tests how many records may come to a bad end, for CI."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.quality.fail_on import Allowed, passed
from loom_common.errors import InvalidDefinition

RECORDS = {"extracted": 10, "rejected": 2, "quarantined": 1, "skipped": 1, "cancelled": 0, "loaded": 6}
DEFINITION = {
    "name": "reviews",
    "extract": {"source": "a.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "b.csv"},
}


@pytest.mark.parametrize(
    ("written", "shown"),
    [(5, "5"), ("5", "5"), (0, "0"), (0.2, "20%"), ("0.2", "20%"), ("20%", "20%"), (1.0, "100%"), ("12.5%", "12.5%")],
)
def test_a_limit_is_a_number_of_records_or_a_share(written, shown):
    assert str(Allowed.of(written)) == shown
    assert Allowed.of(shown) == Allowed.of(written)


@pytest.mark.parametrize("written", [-1, "x", "", 1.5, "150%", True, None, "1e3", [1]])
def test_anything_else_is_refused(written):
    with pytest.raises(ValueError, match="a "):
        Allowed.of(written)


@pytest.mark.parametrize(
    ("limits", "beyond"),
    [
        ({"rejected": "20%"}, []),
        ({"rejected": "19%"}, ["rejected: 2 of 10 records (20.0%); fail_on allows 19%"]),
        ({"rejected": "2"}, []),
        ({"rejected": "1"}, ["rejected: 2 of 10 records (20.0%); fail_on allows 1"]),
        ({"failed": "1"}, ["failed: 2 of 10 records (20.0%); fail_on allows 1"]),
        ({"kept": "40%"}, []),
        ({"kept": "39%", "cancelled": "0"}, ["kept: 4 of 10 records (40.0%); fail_on allows 39%"]),
    ],
)
def test_a_run_is_beyond_a_limit_by_more_than_it_allows(limits, beyond):
    assert passed(limits, RECORDS) == beyond


def test_a_run_without_records_is_within_every_limit():
    assert passed({"rejected": "0", "failed": "0%"}, dict.fromkeys(RECORDS, 0)) == []


def test_a_share_is_compared_as_it_is_written_not_as_binary_has_it():
    assert passed({"rejected": "10%"}, {"extracted": 30, "rejected": 3}) == []


def test_the_pipeline_file_says_them_in_numbers():
    assert parse({**DEFINITION, "fail_on": {"rejected": 0.2, "failed": 0}}).fail_on == {
        "rejected": "20%",
        "failed": "0",
    }


@pytest.mark.parametrize("wrong", [{"rejectd": 1}, {"rejected": "many"}, ["rejected"]])
def test_a_wrong_limit_is_a_mistake_in_the_definition(wrong):
    with pytest.raises(InvalidDefinition, match="fail_on"):
        parse({**DEFINITION, "fail_on": wrong})
