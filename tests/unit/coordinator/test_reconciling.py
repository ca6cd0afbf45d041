"""Books that agree have no difference; each way in which they may differ is told."""

from dataclasses import replace

import pytest

from loom_common.domain.run.tally import Tally
from loom_coordinator.queries.audit.rules import Books, differences

TALLY = Tally(extracted=10, transformed=9, passed=7, rejected=2, quarantined=1, loaded=7, cost_transform=0.1)
AGREE = Books(
    status="succeeded",
    told=TALLY,
    batches=TALLY.plus(cost_transform=1e-12),
    totals=TALLY,
    unfinished=0,
    kept={"rejected": 2, "quarantined": 1},
    unkept=0,
    loaded={"b1": 4, "b2": 3},
    ledger={"b1": 4, "b2": 3},
)
HALF = Tally(extracted=10, transformed=9, passed=5, loaded=5)
CANCELLED = Books(
    status="cancelled",
    told=HALF.plus(cancelled=5),
    batches=HALF,
    totals=HALF,
    unfinished=1,
    kept={},
    unkept=0,
    loaded={"b1": 5},
)


@pytest.mark.parametrize(
    "books",
    [
        AGREE,
        replace(AGREE, ledger=None),
        CANCELLED,
        replace(CANCELLED, status="failed"),
        replace(CANCELLED, status="running", told=None, unkept=1),
    ],
)
def test_books_that_agree(books):
    assert differences(books) == []


@pytest.mark.parametrize(
    ("books", "told"),
    [
        (replace(AGREE, told=TALLY.plus(loaded=1)), [("loaded: batches, run", 7, 8)]),
        (replace(AGREE, kept={"rejected": 2}), [("quarantined: batches, quarantine", 1, 0)]),
        (replace(AGREE, unkept=3), [("batches whose kept records are not all in the quarantine", 0, 3)]),
        (replace(AGREE, unfinished=1), [("batches not done in a run that succeeded", 0, 1)]),
        (
            replace(AGREE, ledger={"b1": 4}),
            [("loaded: batches, ledger", 7, 4), ("loaded of batch b2: facts, ledger", 3, 0)],
        ),
        (
            replace(AGREE, ledger={"b1": 3, "b2": 4}),
            [("loaded of batch b1: facts, ledger", 4, 3), ("loaded of batch b2: facts, ledger", 3, 4)],
        ),
        (
            replace(AGREE, **dict.fromkeys(("told", "batches", "totals"), TALLY.plus(extracted=1))),
            [("extracted, came to an end", 11, 10)],
        ),
        (replace(AGREE, totals=TALLY.plus(loaded=1)), [("loaded: batches, totals", 7, 8)]),
        (replace(CANCELLED, told=HALF), [("cancelled: batches, run", 5, 0)]),
    ],
)
def test_each_difference_is_told(books, told):
    assert [(each.what, each.expected, each.found) for each in differences(books)] == told
