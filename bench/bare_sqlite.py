"""Runs the bare loop without a broker: CSV -> SQLite, a ledger row and a batch's rows in one transaction."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path


def run(path: str, database: str, batch_size: int) -> dict[str, float]:
    """Return the seconds and CPU seconds from the first record read to the last batch committed."""
    with (
        closing(sqlite3.connect(database, isolation_level=None)) as db,
        Path(path).open(newline="", encoding="utf-8") as file,
    ):
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")  # as in Loom's destination: a committed batch survives a power cut
        db.execute("CREATE TABLE reviews (id TEXT, product TEXT, review TEXT, rating TEXT)")
        db.execute("CREATE TABLE ledger (batch INTEGER PRIMARY KEY, loaded INTEGER)")
        began, cpu = time.perf_counter(), time.process_time()
        reader = csv.reader(file)
        next(reader)
        number = 0
        while rows := list(islice(reader, batch_size)):
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO ledger VALUES (?, ?)", (number, len(rows)))
            db.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")
            number += 1
        return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:3], batch_size=int(sys.argv[3]))))
