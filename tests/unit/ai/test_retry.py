from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.http.retry import RetryPolicy, delay_after, delay_when_limited, retry_after_of

POLICY = RetryPolicy(attempts=4, first_delay=1.0, ceiling=60.0)
NOW = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("failed", "retry_after", "jitter", "delay"),
    [
        (1, None, 0.0, 0.5),
        (2, None, 0.0, 1.0),
        (3, None, 0.0, 2.0),
        (1, None, 0.5, 0.75),
        (4, None, 0.0, None),  # that was the last attempt
        (1, 7.0, 0.0, 7.0),
        (1, 7.0, 0.5, 7.5),  # those that were told the same do not come back together
        (1, 0.0, 0.0, 0.5),
        (1, 61.0, 0.0, None),  # too long to wait here: the message waits instead
        (4, 1.0, 0.0, None),
    ],
)
def test_delays(failed, retry_after, jitter, delay):
    assert delay_after(failed, POLICY, retry_after, jitter) == delay


@given(
    failed=st.integers(1, 50),
    retry_after=st.none() | st.floats(0, 60),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_what_the_endpoint_asks_for_is_never_undercut(failed, retry_after, jitter):
    delay = delay_after(failed, RetryPolicy(attempts=100), retry_after, jitter)
    assert delay is not None
    assert (retry_after or 0) <= delay <= 61


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "inf"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, seconds):
    assert retry_after_of(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("refused", "retry_after", "jitter", "delay"),
    [
        (1, 2.0, 0.0, 2.0),
        (1, 2.0, 0.5, 2.5),
        (4, 0.0, 0.0, 2.0),
        (8, 1.0, 0.0, 32.0),
        (9, 1.0, 0.0, None),
        (1, 61.0, 0.0, None),
        (2, None, 0.0, 1.0),
    ],
)
def test_an_endpoint_that_only_asks_to_wait_is_asked_more_often(refused, retry_after, jitter, delay):
    assert delay_when_limited(refused, RetryPolicy(), retry_after, jitter) == delay
