"""Tests which ends of a replay resolve what it took up."""

import pytest

from loom_quarantine.replays.run_ends import every_record_ended
from support.replays import report


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (report("succeeded", extracted=3, loaded=2, rejected=1), True),
        (report("partial", extracted=3, loaded=1, quarantined=1, skipped=1), True),
        (report("partial", extracted=3, loaded=2), False),
        (report("cancelled", extracted=3, loaded=3), False),
        (report("failed", extracted=3, loaded=2), False),
        (report("succeeded"), True),
    ],
)
def test_a_replay_resolves_only_when_every_record_came_to_an_end(ended, expected):
    assert every_record_ended(ended) is expected
