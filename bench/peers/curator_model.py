"""Carries out the job whose time is the model's by Curator, as its documentation does, and inserts its dataset into
SQLite. Runs in Curator's environment."""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path
from typing import Literal

from bench.peers.in_peer import AT_ONCE, QUESTION, insert, keep_to_itself, tell

keep_to_itself()
os.environ.update(TELEMETRY_ENABLED="false", CURATOR_CACHE_DIR=str(Path.cwd()))

from bespokelabs import curator  # noqa: E402 - after what it reads as it is imported
from pydantic import BaseModel  # noqa: E402


class Answer(BaseModel):
    """Represents what the model answers about one review."""

    sentiment: Literal["good", "bad"]
    confidence: float


class Judge(curator.LLM):
    """Asks the model about each row of the input."""

    response_format = Answer

    def prompt(self, row: dict[str, str]) -> str:
        """Return the question that the model gets about a row."""
        return QUESTION + row["review"]

    def parse(self, row: dict[str, str], response: Answer) -> dict[str, object]:
        """Return the row of the dataset."""
        return {"id": row["id"], "sentiment": response.sentiment, "confidence": response.confidence}


def run(source: str, database: str, base_url: str) -> dict[str, float]:
    """Return the seconds and CPU seconds from reading the file to the last row."""
    limits = {
        "base_url": base_url, "max_concurrent_requests": AT_ONCE, "max_requests_per_minute": 10**7,
        "max_tokens_per_minute": 10**10, "require_all_responses": True,
    }  # fmt: skip
    judge = Judge(model_name="gpt-4o-mini", backend="openai", backend_params=limits)
    began, cpu = time.perf_counter(), time.process_time()
    with Path(source).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answered = judge(rows).dataset
    found = ((each["id"], each["sentiment"], each["confidence"]) for each in answered if each["confidence"] >= 0)
    insert(database, found)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    tell(lambda: run(*sys.argv[1:4]))
