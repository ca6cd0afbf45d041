"""A run's window keeps the fleet busy, and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loom_coordinator.flow_control.fleet_load import FleetLoad
from loom_coordinator.flow_control.windows import paced


def load(queue: str, replicas: int = 1, prefetch: int = 8, rate: float = 0.0) -> FleetLoad:
    return FleetLoad(
        queue=queue,
        service=queue.removeprefix("loom."),
        replicas=replicas,
        prefetch=(prefetch,),
        configured=8,
        in_hand=0,
        handled=rate,
        failed=0.0,
        retried=0.0,
        seconds=None,
        memory=0.0,
        away=(),
    )


def test_without_a_fleet_a_run_has_its_own_window():
    assert paced(128, {}) == 128


def test_slow_batches_get_the_hands_and_what_they_work_off_in_half_a_second():
    assert paced(128, {"loom.transform": load("loom.transform", rate=20)}) == 10 + 10


def test_more_replicas_need_more_ahead():
    assert paced(128, {"loom.transform": load("loom.transform", replicas=5)}) == 50


def test_a_fast_fleet_gets_all_the_run_may_have():
    assert paced(128, {"loom.load": load("loom.load", rate=500)}) == 128


def test_what_the_extractor_has_in_hand_are_slices_and_do_not_count():
    fleet = {"loom.extract": load("loom.extract", replicas=9), "loom.load": load("loom.load")}
    assert paced(128, fleet) == 10


@given(st.integers(1, 200), st.integers(0, 50), st.integers(1, 64), st.floats(0, 1000))
def test_never_nothing_and_never_more_than_its_own(own, replicas, prefetch, rate):
    fleet = {"loom.transform": load("loom.transform", replicas, prefetch, rate)}
    assert 1 <= paced(own, fleet) <= own
