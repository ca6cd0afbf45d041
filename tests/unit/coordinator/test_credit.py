"""Credit bounds what is in flight, whatever the source's size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_coordinator.credit import may_release, slice_batches, window


@given(st.integers(1, 10_000))
def test_a_window_holds_at_least_two_slices(batch_size):
    assert window(slice_batches(batch_size)) >= 2 * slice_batches(batch_size)


@given(st.integers(1, 10_000))
def test_a_slice_is_never_unbounded(batch_size):
    assert 1 <= slice_batches(batch_size) <= 32


@pytest.mark.parametrize(
    ("in_flight", "outstanding", "allowed"),
    [(0, 0, True), (24, 0, True), (25, 0, False), (16, 1, True), (17, 1, False)],
)
def test_a_slice_is_released_only_where_it_fits(in_flight, outstanding, allowed):
    assert may_release(in_flight=in_flight, outstanding=outstanding, batches_per_slice=8, credit_window=32) is allowed
