"""Carries out the job whose time is the model's by Curator, as its documentation does, and inserts its dataset into
SQLite. Runs in Curator's environment."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

# Its tokenizer's words lie in a package that it needs, and are otherwise fetched from elsewhere.
_LITELLM = importlib.util.find_spec("litellm")
assert _LITELLM is not None and _LITELLM.origin is not None
_TOKENS = next(Path(_LITELLM.origin).parent.glob("**/tokenizers"))
# It speaks to nobody but the simulated model, and keeps nothing outside this folder.
os.environ.update(
    TELEMETRY_ENABLED="false", LITELLM_LOCAL_MODEL_COST_MAP="True", HF_HUB_OFFLINE="1", OPENAI_API_KEY="none",
    TIKTOKEN_CACHE_DIR=str(_TOKENS), CURATOR_CACHE_DIR=str(Path.cwd()),
    HF_HOME=str(Path.cwd()),
)  # fmt: skip

from bespokelabs import curator  # noqa: E402 - after what it reads as it is imported
from pydantic import BaseModel  # noqa: E402

AT_ONCE = 100


class Answer(BaseModel):
    """Represents what the model answers about one review."""

    sentiment: Literal["good", "bad"]
    confidence: float


class Judge(curator.LLM):
    """Asks the model about each row of the input."""

    response_format = Answer

    def prompt(self, row: dict[str, str]) -> str:
        """Return the question that the model gets about a row."""
        return f"Classify the sentiment of this review as good or bad: {row['review']}"

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
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE reviews (id TEXT, sentiment TEXT, confidence REAL)")
        values = ((each["id"], each["sentiment"], each["confidence"]) for each in answered if each["confidence"] >= 0)
        db.executemany("INSERT INTO reviews VALUES (?, ?, ?)", values)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    said, log = (os.dup(1), os.dup(2)), os.open("log.txt", os.O_RDWR | os.O_CREAT)
    os.dup2(log, 1)  # what it says of its progress
    os.dup2(log, 2)
    try:
        measured = json.dumps(run(*sys.argv[1:4]))
    except BaseException:
        os.write(said[1], Path("log.txt").read_bytes()[-2000:])
        raise
    os.write(said[0], measured.encode())
