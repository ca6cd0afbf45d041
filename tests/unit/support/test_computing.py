"""Tests how threads that compute on are found."""

from __future__ import annotations

import threading
import time

from loom_dev.waiting import until
from support.computing import computing


def test_a_thread_that_computes_is_found_beside_one_that_waits_and_one_that_ends():
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            pass

    def end_soon() -> None:
        time.sleep(0.01)

    threads = [threading.Thread(target=each) for each in (compute, ended.wait, end_soon)]
    for thread in threads:
        thread.start()
    try:
        assert until(lambda: computing(threads) == threads[:1], 10)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
