"""Tests how long a source that tells nobody of new records is looked at."""

import pytest

from loom_connectors.watched.waiting import QUIET_SECONDS, looked_for
from support.clocks import ManualClock


class Looks:
    """Finds something at one of the looks."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0

    async def __call__(self) -> str | None:
        self.count += 1
        return "found" if self.count == self.at else None


async def test_what_is_there_is_found_without_a_pause():
    clock = ManualClock()
    assert await looked_for(Looks(1), 0.25, clock) == "found"
    assert clock.slept == []


async def test_it_is_looked_for_with_pauses_until_something_is_there():
    clock = ManualClock()
    assert await looked_for(Looks(3), 0.25, clock) == "found"
    assert clock.slept == [0.25, 0.25]


@pytest.mark.parametrize(
    ("pause", "slept"), [(0.25, [0.25] * 4), (0.75, [0.75, 0.25]), (10.0, [QUIET_SECONDS]), (QUIET_SECONDS, [1.0])]
)
async def test_after_a_while_nothing_was_found_and_the_last_pause_is_cut_to_it(pause, slept):
    clock, looks = ManualClock(), Looks(None)
    assert await looked_for(looks, pause, clock) is None
    assert clock.slept == slept
    assert looks.count == len(slept) + 1
