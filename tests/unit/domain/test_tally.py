"""The ledger: every record ends in exactly one count."""

from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.tally import Tally

counts = st.integers(min_value=0, max_value=1000)
ends = st.fixed_dictionaries(dict.fromkeys(("loaded", "rejected", "skipped", "quarantined", "cancelled"), counts))


@given(ends)
def test_a_tally_balances_when_every_extracted_record_has_ended(ended):
    assert Tally(extracted=sum(ended.values()), **ended).balanced


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
