"""Tests that the prefetch limit finds itself: raised by one where work waits, halved where something gives way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_coordinator.flow_control.prefetch_rules import (
    HIGH,
    HOLD,
    LEAST,
    MOST,
    PATIENCE,
    SPARE,
    TIGHT,
    Setting,
    Signals,
    decide,
    queueing,
)

BUSY = Signals(ready=50, in_flight=8, replicas=1, configured=8, rate=4.0, seconds=2.0, memory=0.2)
IDLE = replace(BUSY, ready=0, in_flight=0, rate=0.0, seconds=None)
READY = Setting(8, streak=PATIENCE - 1, unhindered=2.0)
"""Wanted a raise at the last decision already."""
READY_TO_LOWER = replace(READY, streak=1 - PATIENCE)

signals = st.builds(
    Signals,
    ready=st.integers(0, 500),
    in_flight=st.integers(0, 500),
    replicas=st.integers(1, 20),
    configured=st.integers(1, 100),
    rate=st.floats(0, 100),
    seconds=st.none() | st.floats(0, 1000),
    memory=st.floats(0, 1.2),
    away=st.sampled_from([(), ("https://models",)]),
)
settings = st.builds(
    Setting,
    prefetch=st.integers(LEAST, MOST),
    streak=st.integers(-PATIENCE, PATIENCE),
    hold=st.integers(0, HOLD),
    unhindered=st.none() | st.floats(0.001, 1000),
)


@pytest.mark.parametrize(
    ("setting", "seen", "prefetch", "reason"),
    [
        # work waits and every replica has its limit in flight
        (READY, BUSY, 9, "50 messages wait and every replica has its limit in flight"),
        (replace(READY, prefetch=1), replace(BUSY, in_flight=1), 2, "every replica has its limit in flight"),
        (replace(READY, prefetch=3), replace(BUSY, in_flight=3), 6, "every replica has its limit in flight"),
        (replace(READY, prefetch=6), replace(BUSY, in_flight=6), 8, "every replica has its limit in flight"),
        (replace(READY, prefetch=MOST), replace(BUSY, in_flight=MOST), MOST, "as configured"),
        # one sign is no trend
        (replace(READY, streak=0), BUSY, 8, "as configured"),
        (READY_TO_LOWER, BUSY, 8, "as configured"),
        # nothing waits, or the limit is not reached
        (READY, replace(BUSY, ready=0), 8, "as configured"),
        (READY, replace(BUSY, in_flight=5), 8, "as configured"),
        (READY, replace(BUSY, replicas=2), 8, "as configured"),
        # messages only wait for each other
        (READY, replace(BUSY, seconds=3.0), 8, "as configured"),
        (READY_TO_LOWER, replace(BUSY, seconds=5.0), 7, "4.8 of 8 in flight wait for the others"),
        (replace(READY_TO_LOWER, prefetch=4), replace(BUSY, seconds=50.0), 4, "as configured"),
        (replace(READY_TO_LOWER, unhindered=0.001), replace(BUSY, seconds=0.2), 8, "as configured"),
        # back to what is configured
        (replace(READY_TO_LOWER, prefetch=20), IDLE, 19, "nothing waits"),
        (replace(READY_TO_LOWER, prefetch=20), replace(BUSY, ready=0), 19, "nothing waits"),
        (replace(READY, prefetch=2), IDLE, 3, "back to what is configured"),
        (READY, IDLE, 8, "as configured"),
        # memory
        (READY, replace(BUSY, memory=TIGHT), 8, "as configured"),
        (READY, replace(BUSY, memory=HIGH), 4, "memory at 85% of its limit"),
        (replace(READY, prefetch=1), replace(BUSY, memory=1.1), LEAST, "memory at 110% of its limit"),
        (replace(READY, hold=HOLD), replace(BUSY, memory=0.9), 8, "as configured"),
        # an upstream is away
        (READY, replace(BUSY, rate=0.0, away=("pg",)), 4, "nothing gets through: breaker open for pg"),
        (replace(READY, hold=HOLD), replace(BUSY, rate=0.0, away=("pg",)), 8, "as configured"),
        (READY, replace(BUSY, away=("pg",)), 8, "as configured"),
        (replace(READY, prefetch=6), replace(IDLE, away=("pg",)), SPARE, "nothing gets through: breaker open for pg"),
        (replace(READY, prefetch=2), replace(IDLE, away=("pg",)), 2, "as configured"),
    ],
)
def test_the_limit_and_its_reason(setting, seen, prefetch, reason):
    decided = decide(setting, seen)
    assert decided.prefetch == prefetch
    assert reason in decided.reason


def test_after_a_halving_its_effect_is_waited_for():
    pressed = replace(BUSY, memory=0.9)
    setting, limits = Setting(64), []
    for _ in range(1 + 3 * HOLD):
        setting = decide(setting, pressed)
        limits.append(setting.prefetch)
    assert limits == [32] * HOLD + [16] * HOLD + [8] * HOLD + [4]


def test_a_stage_that_has_reached_its_limit_is_not_given_more():
    """Throughput is four messages a second, however many are in flight: more of them only take longer."""
    setting = Setting(8)
    for _ in range(60):
        in_flight = setting.prefetch
        setting = decide(setting, replace(BUSY, in_flight=in_flight, seconds=in_flight / 4.0))
    assert 8 <= setting.prefetch <= 14


def test_a_stage_that_waits_for_others_is_given_more():
    """A message takes two seconds, however many are in flight: a model that answers as many as it is asked."""
    setting = Setting(8)
    for _ in range(200):
        setting = decide(setting, replace(BUSY, in_flight=setting.prefetch))
    assert setting.prefetch == MOST


def test_after_a_breaker_closes_it_comes_back_in_a_few_steps():
    setting = Setting(8)
    for _ in range(30):
        setting = decide(setting, replace(BUSY, rate=0.0, seconds=None, away=("pg",)))
    assert setting.prefetch == SPARE
    steps = 0
    while setting.prefetch < 8:
        setting = decide(setting, replace(BUSY, in_flight=setting.prefetch))
        steps += 1
    assert steps <= HOLD + 3 * PATIENCE


def test_what_a_message_takes_is_measured_anew_after_an_idle_time():
    assert decide(replace(READY, unhindered=0.1), IDLE).unhindered is None
    assert decide(replace(READY, unhindered=0.1), replace(IDLE, in_flight=1)).unhindered == 0.1


@given(settings, signals)
def test_the_limit_is_bounded(setting, seen):
    assert LEAST <= decide(setting, seen).prefetch <= MOST


@given(settings, signals, st.floats(0, 1.2), st.floats(0, 1.2))
def test_more_memory_held_never_gives_a_higher_limit(setting, seen, one, other):
    less, more = sorted((one, other))
    roomy, tight = decide(setting, replace(seen, memory=less)), decide(setting, replace(seen, memory=more))
    assert tight.prefetch <= roomy.prefetch


@given(settings, signals)
def test_the_limit_is_never_raised_while_memory_is_tight(setting, seen):
    assert decide(setting, replace(seen, memory=max(TIGHT, seen.memory))).prefetch <= setting.prefetch


@given(st.integers(1, 64), st.none() | st.floats(0, 100), st.none() | st.floats(0, 100))
def test_no_more_messages_wait_for_the_others_than_are_in_flight(prefetch, seconds, unhindered):
    assert 0 <= queueing(prefetch, seconds, unhindered) <= prefetch
