from __future__ import annotations

import datetime as dt

import pytest

from loom_ai.pacing.headers import pause_of

NOW = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)
REQUESTS, RESET = "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"
LEFT, UNTIL = "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({REQUESTS: "3", RESET: "1s"}, 0.0),
        ({REQUESTS: "0", RESET: "20ms"}, 0.02),
        ({REQUESTS: "0", RESET: "1m30s"}, 90.0),
        ({REQUESTS: "0", RESET: "6m0s"}, 120.0),
        ({REQUESTS: "0", RESET: "1.5"}, 1.5),
        ({REQUESTS: "0", RESET: "soon"}, 0.0),
        ({REQUESTS: "0"}, 0.0),
        ({REQUESTS: "0", RESET: "1s", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s"}, 2.0),
        ({LEFT: "0", UNTIL: "2026-03-01T12:00:04Z"}, 4.0),
        ({LEFT: "0", UNTIL: "2026-03-01T11:00:00Z"}, 0.0),
    ],
)
def test_nothing_left_means_a_pause_until_the_reset(headers, seconds):
    assert pause_of(headers, NOW) == pytest.approx(seconds)
