"""Tests that every record ends in exactly one count of the ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.tally import Tally

counts = st.integers(min_value=0, max_value=1000)
ends = st.fixed_dictionaries(
    dict.fromkeys(
        ("loaded", "filtered", "unnested", "grouped", "rejected", "skipped", "quarantined", "cancelled"), counts
    )
)


@given(ends, counts)
def test_a_tally_balances_when_every_record_that_entered_has_ended(ended, derived):
    entered = sum(ended.values())
    assert Tally(extracted=entered - min(derived, entered), derived=min(derived, entered), **ended).balanced


@given(ends, st.integers(min_value=1, max_value=50))
def test_a_record_without_an_end_unbalances_it(ended, missing):
    tally = Tally(extracted=sum(ended.values()) + missing, **ended)
    assert not tally.balanced
    assert tally.underway == missing


def test_kept_counts_what_stands_in_quarantine():
    assert Tally(rejected=1, skipped=2, quarantined=3, loaded=9).kept == 6


@given(ends, ends)
def test_adding_tallies_adds_every_count(one, other):
    total = Tally(**one) + Tally(**other)
    assert total.model_dump() == {
        name: getattr(Tally(**one), name) + getattr(Tally(**other), name) for name in Tally.model_fields
    }


WRITTEN = Tally(extracted=20, loaded=12, staged=10, second=2, rejected=3, quarantined=1)


@pytest.mark.parametrize(
    ("placed", "second_placed", "ended", "loaded", "staged", "cancelled"),
    [
        (True, True, True, 12, 0, 4),
        (False, True, True, 2, 10, 14),
        (False, False, True, 2, 10, 14),
        (True, True, False, 12, 0, 0),
        (False, True, False, 2, 10, 0),
    ],
)
def test_what_is_shown_as_loaded_can_be_read(placed, second_placed, ended, loaded, staged, cancelled):
    shown = WRITTEN.shown(placed=placed, second_placed=second_placed, ended=ended)
    assert (shown.loaded, shown.staged, shown.cancelled) == (loaded, staged, cancelled)
    assert shown.balanced is ended


def test_rows_of_a_second_destination_may_wait_for_their_end_too():
    written = Tally(extracted=5, loaded=5, staged=5, second=2)
    assert written.shown(placed=True, second_placed=False, ended=True).loaded == 3
    assert written.shown(placed=False, second_placed=True, ended=True).loaded == 2
