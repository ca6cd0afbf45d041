"""Defines Celery's task: ask a model about a review, check the answer, insert it. Runs in Celery's environment, where a
worker of a hundred threads carries it out."""

from __future__ import annotations

import json
import os
import sqlite3
import threading

import requests
from celery import Celery

PROMPT = "Classify the sentiment of this review as good or bad: {}"
SCHEMA = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["good", "bad"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["sentiment", "confidence"],
    "additionalProperties": False,
}

app = Celery("reviews", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=1)
_threads = threading.local()


def session() -> requests.Session:
    """Return the thread's own connection to the model."""
    if not hasattr(_threads, "session"):
        _threads.session = requests.Session()
    return _threads.session


def database() -> sqlite3.Connection:
    """Return the thread's own connection to the database."""
    if not hasattr(_threads, "database"):
        _threads.database = sqlite3.connect(os.environ["BENCH_DATABASE"], timeout=60, isolation_level=None)
    return _threads.database


@app.task
def judge(record: str, review: str) -> None:
    """Carry out one record. A task that is delivered again overwrites its row."""
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": PROMPT.format(review)}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "o", "schema": SCHEMA}},
    }
    answer = session().post(f"{os.environ['BENCH_MODEL']}/chat/completions", json=body, timeout=30)
    answer.raise_for_status()
    output = json.loads(answer.json()["choices"][0]["message"]["content"])
    if output["confidence"] >= 0:
        values = (record, output["sentiment"], output["confidence"])
        database().execute("INSERT OR REPLACE INTO reviews VALUES (?, ?, ?)", values)
