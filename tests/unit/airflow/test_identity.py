"""Tests by which key a task of Airflow asks for its run."""

from loom_airflow.identity import clearing_of, request_key


def test_all_tries_of_a_task_ask_by_the_same_key_and_no_other_task_does():
    asked = ("reviews", "scheduled__2026-01-01T00:00:00+00:00", "run", -1, 0)
    assert request_key(*asked) == request_key(*asked)
    others = [
        ("reviews2", *asked[1:]),
        ("reviews", "manual__1", "run", -1, 0),
        ("reviews", asked[1], "run2", -1, 0),
        ("reviews", asked[1], "run", 0, 0),
        ("reviews", asked[1], "run", -1, 1),
    ]
    assert len({request_key(*each) for each in (asked, *others)}) == 6


def test_ids_that_look_alike_when_joined_are_told_apart():
    assert request_key("a/b", "c", "d", -1, 0) != request_key("a", "b/c", "d", -1, 0)


def test_a_key_is_one_that_the_api_takes_whatever_ids_hold():
    key = request_key("dag ü", "run\n1", "x" * 250, 12345, 3)
    assert len(key) <= 255
    assert all("!" <= each <= "~" for each in key)


def test_a_task_that_was_cleared_is_another_one_and_its_retries_are_not():
    assert clearing_of(max_tries=2, retries=2) == 0  # the first try, and each retry
    assert clearing_of(max_tries=3, retries=2) == 1  # cleared after one try: Airflow gives it its retries anew
    assert clearing_of(max_tries=0, retries=2) == 0  # retries that were raised since
