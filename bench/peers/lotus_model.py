"""Carries out the job whose time is the model's by LOTUS, as its documentation does, and inserts its data frame into
SQLite. Runs in LOTUS's environment. Its map gives a text, so that there is no confidence."""

from __future__ import annotations

import sys
import time

from bench.peers.in_peer import AT_ONCE, QUESTION, insert, keep_to_itself, tell

keep_to_itself()

import lotus  # noqa: E402 - after what it reads as it is imported
import pandas as pd  # noqa: E402


def run(source: str, database: str, base_url: str) -> dict[str, float]:
    """Return the seconds and CPU seconds from reading the file to the last row."""
    lotus.settings.configure(lm=lotus.models.LM("openai/gpt-4o-mini", max_batch_size=AT_ONCE, api_base=base_url))
    began, cpu = time.perf_counter(), time.process_time()
    answered = pd.read_csv(source, dtype=str).sem_map(QUESTION + "{review}", suffix="sentiment")
    insert(database, ((row.id, row.sentiment, None) for row in answered.itertuples()))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    tell(lambda: run(*sys.argv[1:4]))
