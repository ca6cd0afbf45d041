from __future__ import annotations

import pytest

from loom_coordinator.sweeping.sweeper import LOOP_SECONDS, pause_after


@pytest.mark.parametrize(("spent", "pause"), [(0.0, LOOP_SECONDS), (0.05, LOOP_SECONDS), (0.2, 1.8), (2.0, 18.0)])
def test_sweeping_takes_at_most_a_tenth_of_the_time(spent, pause):
    assert pause_after(spent) == pytest.approx(pause)
