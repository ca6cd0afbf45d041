"""Tests windows and credit: what is in flight is bounded, shared fairly, and keeps the fleet busy."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_coordinator.flow_control.fleet_load import FleetLoad
from loom_coordinator.flow_control.run_windows import stages_of
from loom_coordinator.flow_control.windows import (
    CreditState,
    StageThroughput,
    ends_awaited,
    full_window,
    opening_window,
    own_throughput,
    paced_window,
    shared_windows,
    slice_batches,
    slice_size,
)
from support.documents import ROOT

standings = st.builds(
    CreditState, priority=st.integers(1, 10), released=st.integers(0, 10_000), window=st.integers(8, 128)
)


@given(st.integers(1, 10_000))
def test_a_window_holds_at_least_two_slices(batch_size):
    assert full_window(slice_batches(batch_size)) >= 2 * slice_batches(batch_size)


@given(st.integers(1, 10_000))
def test_a_slice_is_never_unbounded(batch_size):
    assert 1 <= slice_batches(batch_size) <= 64
    assert slice_batches(batch_size) * batch_size <= max(8_000, batch_size)


@given(st.integers(0, 200), st.integers(0, 64), st.integers(1, 64), st.integers(1, 128))
def test_a_slice_fits_once_as_many_batches_have_ended_as_are_awaited(in_flight, outstanding, wanted, credit):
    awaited = ends_awaited(in_flight=in_flight, outstanding=outstanding, wanted=wanted, credit_window=credit)
    room = credit - (in_flight - awaited) - outstanding
    assert room == wanted if awaited else room >= wanted


@given(st.integers(1, 10_000))
def test_a_window_is_never_unbounded(batch_size):
    window = full_window(slice_batches(batch_size))
    assert window <= 128
    assert window == 8 or window * batch_size <= 32_000


@given(st.integers(1, 10_000))
def test_the_formula_of_the_documents_is_that_of_windows(batch_size):
    (formula,) = re.findall(r"`(max\(8, .*)` batches in flight", (ROOT / "docs/operations.md").read_text("utf-8"))
    assert full_window(slice_batches(batch_size)) == eval(formula, {"batch_size": batch_size})


@pytest.mark.parametrize(("per_second", "batches"), [(0.0, 32), (128.0, 32), (200.0, 50), (1000.0, 64)])
def test_a_run_that_is_slow_refills_its_window_before_half_of_it_is_empty(per_second, batches):
    assert slice_size(batches_per_slice=64, credit_window=128, per_second=per_second) == batches


@given(st.integers(1, 64), st.integers(1, 128), st.integers(1, 16))
def test_an_empty_window_always_has_room_for_a_slice(batches, credit, partitions):
    wanted = slice_size(batches_per_slice=batches, credit_window=credit, partitions=partitions)
    assert wanted >= 1
    assert not ends_awaited(in_flight=0, outstanding=0, wanted=wanted, credit_window=credit)


@given(st.integers(1, 10_000), st.integers(1, 8))
def test_a_whole_window_has_room_for_a_slice_of_each_of_eight_partitions(batch_size, partitions):
    batches = slice_batches(batch_size)
    window = full_window(batches)
    wanted = slice_size(batches_per_slice=batches, credit_window=window, partitions=partitions)
    assert wanted >= max(1, batches // 4)
    outstanding = (partitions - 1) * wanted
    assert not ends_awaited(in_flight=0, outstanding=outstanding, wanted=wanted, credit_window=window)


@given(st.dictionaries(st.text(min_size=1), standings, min_size=1, max_size=6))
def test_runs_together_have_about_what_the_largest_has_alone(runs):
    shared = shared_windows(runs)
    assert all(1 <= shared[name] <= runs[name].window for name in runs)
    assert sum(shared.values()) <= max(run.window for run in runs.values()) + len(runs)


@pytest.mark.parametrize(
    ("small", "large", "share"),
    [
        (CreditState(5, 0, 40), CreditState(5, 10_000, 40), 0.8),
        (CreditState(5, 10_000, 40), CreditState(5, 10_000, 40), 0.5),
        (CreditState(10, 10_000, 40), CreditState(5, 10_000, 40), 2 / 3),
    ],
)
def test_newcomers_and_priority_weigh_more(small, large, share):
    assert shared_windows({"small": small, "large": large})["small"] == round(40 * share)


@pytest.mark.parametrize(
    ("done", "seconds", "batches"),
    [(0, 0.0, 16), (20, 0.2, 36), (60, 1.0, 46), (40, 2.0, 26), (1000, 4.0, 141)],
)
def test_a_young_run_has_what_it_works_off_in_half_a_second(done, seconds, batches):
    assert opening_window(done, seconds) == batches


def load_of(queue: str, replicas: int = 1, prefetch: int = 8, rate: float = 0.0) -> FleetLoad:
    return FleetLoad(
        queue=queue,
        service=queue.removeprefix("loom."),
        replicas=replicas,
        prefetch=(prefetch,),
        configured=8,
        in_flight=0,
        handled=rate,
        failed=0.0,
        retried=0.0,
        seconds=None,
        memory=0.0,
        away=(),
    )


def test_without_a_fleet_a_run_has_its_full_window():
    assert paced_window(128, []) == 128


def test_a_window_holds_what_may_be_in_flight_and_what_is_worked_off_in_half_a_second():
    assert paced_window(128, [StageThroughput(8, 20.0)]) == 10 + 10


def test_a_young_run_is_paced_by_what_it_does_where_the_fleet_was_idle_before():
    idle = [StageThroughput(8, 0.0)]
    assert paced_window(128, [*idle, *own_throughput(done=200, seconds=2.0)]) == 10 + 50
    assert paced_window(128, [*idle, *own_throughput(done=2000, seconds=20.0)]) == 10


def test_more_replicas_need_more_ahead():
    assert paced_window(128, [StageThroughput(5 * 8, 0.0)]) == 50


def test_a_fast_fleet_gets_all_the_run_may_have():
    assert paced_window(128, [StageThroughput(8, 500.0)]) == 128


def test_what_the_extractor_has_in_flight_are_slices_and_do_not_count():
    fleet = {"loom.extract": load_of("loom.extract", replicas=9), "loom.load": load_of("loom.load")}
    assert stages_of(fleet) == [StageThroughput(8, 0.0)]


def test_the_stage_that_needs_most_decides():
    assert paced_window(128, [StageThroughput(8, 60.0), StageThroughput(40, 20.0)]) == 50 + 30


stages = st.lists(st.builds(StageThroughput, st.integers(0, 3200), st.floats(0, 1000)), max_size=3)


@given(st.integers(1, 200), stages)
def test_a_paced_window_is_never_empty_and_never_more_than_the_full_one(full, stages):
    assert 1 <= paced_window(full, stages) <= full
