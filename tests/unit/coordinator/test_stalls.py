"""Tests when a stage owes a fact for too long."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_common.flow import Stage
from loom_coordinator.lifecycle.stalls import Heard, stalled

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
E, T, V, L = Stage
LIMITS = {E: 15 * 60.0, T: 45 * 60.0, V: 30 * 60.0, L: 15 * 60.0}


def ago(minutes: float) -> dt.datetime:
    return NOW - dt.timedelta(minutes=minutes)


def heard(waiting: float | None, last: float) -> Heard:
    """Return what was heard minutes ago."""
    return Heard(None if waiting is None else ago(waiting), ago(last))


@pytest.mark.parametrize(
    ("known", "asked", "stage"),
    [
        ({}, None, None),
        ({}, 14, None),
        ({}, 16, E),
        ({E: heard(44, 1)}, None, None),
        ({E: heard(46, 1)}, None, T),
        ({E: heard(46, 1), T: heard(None, 44)}, None, None),  # others leave the transform: it waits its turn
        ({E: heard(300, 1), V: heard(None, 5)}, None, None),
        ({E: heard(300, 1), L: heard(None, 46)}, None, T),
        ({T: heard(29, 29)}, None, None),
        ({T: heard(31, 1)}, None, V),
        ({V: heard(16, 16)}, None, L),
        ({V: heard(16, 16), L: heard(None, 1)}, None, None),
        ({L: heard(16, 1)}, None, L),  # loaded, but the quarantine has not confirmed the rest
        ({E: heard(20, 20), V: heard(16, 16)}, None, L),
    ],
)
def test_a_stage_is_stalled_when_it_tells_nothing_although_batches_wait(known, asked, stage):
    assert stalled(known, None if asked is None else ago(asked), LIMITS, NOW) is stage
