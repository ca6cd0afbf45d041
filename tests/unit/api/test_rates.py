"""Tests how many requests a client may make."""

import pytest

from loom_api.http.rates import Rates


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_client_may_ask_again_when_it_is_told_so():
    clock = Clock()
    rates = Rates(60, clock)
    assert [rates.wait_of("a") for _ in range(60)] == [0.0] * 60
    assert rates.wait_of("a") == pytest.approx(1.0)
    assert rates.wait_of("b") == 0.0
    clock.now = 1.0
    assert rates.wait_of("a") == 0.0
    assert rates.wait_of("a") == pytest.approx(1.0)


def test_no_limit_counts_nothing():
    rates = Rates(0)
    assert not any(rates.wait_of("a") for _ in range(1_000))
