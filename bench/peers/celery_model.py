"""Has a Celery worker on RabbitMQ carry out the job whose time is the model's, a task for each record. Runs in Celery's
environment."""

from __future__ import annotations

import csv
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

_LOOK_SECONDS = 0.05


def run(source: str, database: str, base_url: str, broker: str) -> dict[str, float]:
    """Return the seconds from the first task that is sent to the last row, and the CPU seconds of both processes. The
    worker is ready before."""
    os.environ.update(BENCH_BROKER=broker, BENCH_MODEL=base_url, BENCH_DATABASE=database)
    db = sqlite3.connect(database)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE reviews (id TEXT PRIMARY KEY, sentiment TEXT, confidence REAL)")
    from celery_tasks import app, judge

    options = ("-A", "celery_tasks", "worker", "--pool", "threads", "-c", "100", "-l", "error", "--without-gossip")
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", *options], cwd=Path(__file__).parent, stdout=subprocess.DEVNULL
    )
    try:
        while not app.control.ping(timeout=0.5):
            if worker.poll() is not None:
                sys.exit("the worker ended")
        began, cpu = time.perf_counter(), time.process_time()
        count = 0
        with Path(source).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                judge.delay(row["id"], row["review"])
                count += 1
        while db.execute("SELECT count(*) FROM reviews").fetchone()[0] < count:
            if worker.poll() is not None:
                sys.exit("the worker ended")
            time.sleep(_LOOK_SECONDS)
        seconds, own = time.perf_counter() - began, time.process_time() - cpu
    finally:
        worker.terminate()
        worker.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "cpu": own + used.ru_utime + used.ru_stime}


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:5])))
