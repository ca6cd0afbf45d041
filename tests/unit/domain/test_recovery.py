"""Retry is a decision from an error and a count."""

import pytest

from loom_common.domain.run.recovery import Retry, decide
from loom_common.errors import DependencyUnavailable, TransientError


@pytest.mark.parametrize(
    ("error", "attempt", "decision"),
    [
        (DependencyUnavailable("away"), 1, Retry(0)),
        (DependencyUnavailable("away"), 2, Retry(1)),
        (DependencyUnavailable("away"), 4, Retry(3)),
        (DependencyUnavailable("away"), 5, None),
        (TransientError("slow down", retry_after=20), 1, Retry(1)),
        (TransientError("slow down", retry_after=86_400), 1, Retry(3)),
        (TransientError("slow down", retry_after=1), 3, Retry(2)),
        (ValueError("a defect"), 1, Retry(0)),
        (ValueError("a defect"), 2, None),
    ],
)
def test_what_follows_a_failure(error, attempt, decision):
    assert decide(error, attempt) == decision


def test_a_lasting_message_stays_at_the_longest_delay_while_its_trouble_is_transient():
    assert decide(DependencyUnavailable("away"), 50, lasting=True) == Retry(3)
    assert decide(ValueError("a defect"), 2, lasting=True) is None


def test_the_delays_grow():
    assert [Retry(step).delay for step in range(4)] == [5, 30, 120, 600]
