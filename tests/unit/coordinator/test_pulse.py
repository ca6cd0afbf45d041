from __future__ import annotations

import pytest

from loom_coordinator.sweeping.sweeper import PULSE_SECONDS, pause_after


@pytest.mark.parametrize(("spent", "pause"), [(0.0, PULSE_SECONDS), (0.05, PULSE_SECONDS), (0.2, 1.8), (2.0, 18.0)])
def test_beating_takes_at_most_a_tenth_of_the_time(spent, pause):
    assert pause_after(spent) == pytest.approx(pause)
