"""Credit bounds what is in flight, whatever the source's size, and shares it fairly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_coordinator.flow_control.credit import (
    CreditState,
    next_slice,
    opening_window,
    shared_windows,
    slice_batches,
    window,
)

standings = st.builds(
    CreditState, priority=st.integers(1, 10), released=st.integers(0, 10_000), window=st.integers(8, 128)
)


@given(st.integers(1, 10_000))
def test_a_window_holds_at_least_two_slices(batch_size):
    assert window(slice_batches(batch_size)) >= 2 * slice_batches(batch_size)


@given(st.integers(1, 10_000))
def test_a_slice_is_never_unbounded(batch_size):
    assert 1 <= slice_batches(batch_size) <= 32


@given(st.integers(0, 200), st.integers(0, 64), st.integers(1, 32), st.integers(1, 128))
def test_what_is_in_flight_never_exceeds_the_window(in_flight, outstanding, batches, credit):
    asked = next_slice(in_flight=in_flight, outstanding=outstanding, batches_per_slice=batches, credit_window=credit)
    assert asked == 0 or in_flight + outstanding + asked <= credit


@given(st.integers(1, 32), st.integers(1, 128))
def test_an_empty_window_always_has_room_for_a_slice(batches, credit):
    assert next_slice(in_flight=0, outstanding=0, batches_per_slice=batches, credit_window=credit) >= 1


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
