"""Tests what a run that has worked through all its records came to."""

from __future__ import annotations

import pytest

from loom_common.domain.run.tally import Tally
from loom_coordinator.lifecycle.final_status import Verdict, kept_old_result, of


@pytest.mark.parametrize(
    ("tally", "threshold", "status", "error"),
    [
        (Tally(), None, "succeeded", None),
        (Tally(extracted=3, passed=3, loaded=3), None, "succeeded", None),
        (Tally(extracted=3, passed=1, loaded=1, quarantined=2), None, "succeeded", None),
        (Tally(extracted=3, passed=1, loaded=1, rejected=2), None, "succeeded", None),
        (Tally(extracted=3, quarantined=3), None, "failed", "Nothing was loaded: errors kept back 3 of 3 records."),
        (Tally(extracted=3, skipped=3), None, "failed", "Nothing was loaded: errors kept back 3 of 3 records."),
        (Tally(extracted=1, quarantined=1), 0.5, "failed", "Nothing was loaded: errors kept back 1 of 1 record."),
        (
            Tally(extracted=3, rejected=2, quarantined=1),
            None,
            "failed",
            "Nothing was loaded: errors kept back 1 of 3 records, and the gate rejected the other 2.",
        ),
        (Tally(extracted=3, rejected=3), None, "partial", "Nothing was loaded: the gate rejected all 3 records."),
        (Tally(extracted=1, rejected=1), 0.9, "partial", "Nothing was loaded: the gate rejected the one record."),
        (
            Tally(extracted=4, passed=2, loaded=2, rejected=2),
            0.9,
            "partial",
            "Batch quality below threshold: 50.0% < 90.0%",
        ),
        (
            Tally(extracted=4, passed=2, loaded=2),
            None,
            "failed",
            "the ledger does not balance: 2 of 4 records unaccounted",
        ),
    ],
)
def test_no_result_is_no_success(tally, threshold, status, error):
    assert of(tally, threshold) == Verdict(status, error)


def test_a_run_that_left_the_old_result_says_so_and_how_to_have_it_replaced():
    assert kept_old_result(of(Tally(), None)) == Verdict(
        "partial",
        "Nothing was loaded: the source held no record. What the destination held was left as it was; "
        "`load: {allow_empty: true}` lets an empty result replace it.",
    )
