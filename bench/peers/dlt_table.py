"""Loads the CSV file into a table by dlt as its documentation does, with a resource that yields rows: into SQLite by
its SQLAlchemy destination, or into Postgres by its own. Runs in dlt's environment."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt


@dlt.resource(name="reviews", write_disposition="append")
def rows(path: str) -> Iterator[dict[str, str]]:
    """Yield each row of the file."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def run(path: str, destination: Any, dataset: str) -> dict[str, float]:
    """Return the seconds and CPU seconds of one pipeline run into the table `reviews` of a schema."""
    pipeline = dlt.pipeline("reviews", destination=destination, dataset_name=dataset, pipelines_dir=str(Path.cwd()))
    began, cpu = time.perf_counter(), time.process_time()
    pipeline.run(rows(path))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"  # so that it speaks to nobody
    source, *file = sys.argv[1:]
    if file:
        measured = run(source, dlt.destinations.sqlalchemy(f"sqlite:///{file[0]}"), "main")
    else:
        measured = run(source, dlt.destinations.postgres(os.environ["BENCH_DATABASE"]), "public")
    print(json.dumps(measured))
