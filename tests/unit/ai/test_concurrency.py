from __future__ import annotations

import random

from loom_ai.pacing.concurrency import Concurrency


def endpoint(concurrency: Concurrency, answers: int, latency_of=lambda at_once: 0.1, refused=lambda at_once: False):
    """Provide an endpoint that is always asked as much as may be."""
    for _ in range(answers):
        if refused(concurrency.limit):
            concurrency.refused()
        else:
            concurrency.answered(latency_of(concurrency.limit), busy=True)


def test_an_endpoint_that_takes_more_is_asked_more_up_to_the_ceiling():
    concurrency = Concurrency(ceiling=64)
    endpoint(concurrency, 200)
    assert concurrency.limit == 64


def test_a_limit_that_is_not_reached_stays():
    concurrency = Concurrency(ceiling=64)
    for _ in range(200):
        concurrency.answered(0.1, busy=False)
    assert concurrency.limit == 16


def test_single_refusals_are_the_calls_own_affair():
    concurrency, chance = Concurrency(ceiling=64), random.Random(7)
    lowest = 64.0
    for _ in range(3000):
        endpoint(concurrency, 1, refused=lambda _: chance.random() < 0.05)
        lowest = min(lowest, concurrency.limit) if concurrency.limit > 16 else lowest
    assert concurrency.limit > 50


def test_an_endpoint_that_takes_ten_at_once_is_asked_about_ten():
    concurrency, chance = Concurrency(ceiling=64), random.Random(7)
    limits = []
    for _ in range(3000):
        endpoint(concurrency, 1, refused=lambda at_once: chance.random() > 10 / at_once)
        limits.append(concurrency.limit)
    late = limits[1000:]
    assert 6 < sum(late) / len(late) < 14


def test_the_first_answer_of_all_may_be_a_refusal():
    concurrency = Concurrency(ceiling=64)
    assert concurrency.refused()
    assert concurrency.limit == 8


def test_several_refusals_in_a_row_say_that_too_much_is_asked():
    concurrency = Concurrency(ceiling=16)
    endpoint(concurrency, 100)
    assert [concurrency.refused() for _ in range(3)] == [False, False, True]
    assert concurrency.limit == 8


def test_an_endpoint_that_only_makes_more_calls_wait_is_not_asked_more():
    """The endpoint works on twenty calls at once: more of them only queue there."""
    concurrency = Concurrency(ceiling=512)
    endpoint(concurrency, 5000, latency_of=lambda at_once: 0.1 * max(1.0, at_once / 20))
    assert concurrency.limit < 100


def test_an_endpoint_that_slows_down_but_brings_more_is_asked_more():
    """The simulated server works on batches, as servers do: half as fast each, but four times as many."""
    concurrency = Concurrency(ceiling=64)
    endpoint(concurrency, 1000, latency_of=lambda at_once: 0.1 * at_once**0.5)
    assert concurrency.limit > 60


def test_it_never_stops_asking():
    concurrency = Concurrency(ceiling=64)
    for _ in range(500):
        concurrency.refused()
    assert concurrency.limit == 1


def test_a_configured_number_is_begun_with_and_kept_where_more_calls_only_wait():
    concurrency = Concurrency(ceiling=100, configured=True)
    assert concurrency.limit == 100
    endpoint(concurrency, 5000, latency_of=lambda at_once: 0.1 * max(1.0, at_once / 20))
    assert concurrency.limit == 100


def test_a_configured_number_is_halved_where_the_endpoint_refuses_and_reached_again():
    concurrency = Concurrency(ceiling=100, configured=True)
    assert concurrency.refused()
    assert concurrency.limit == 50
    endpoint(concurrency, 2000)
    assert concurrency.limit == 100
