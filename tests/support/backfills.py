"""Makes a pipeline with a parameter `day`, over a table with a row for each of four days."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from support.command import Ended
from support.sqlite_files import run_sql

CODE = """
from pathlib import Path

def judged(record):
    beside = Path(__file__).with_name
    if beside("gate").is_fifo() and record["day"] in beside("gated").read_text():
        beside("gate").read_text()
    if record["day"] == "2024-01-02" and not beside("mended").exists():
        raise ValueError("bad day")
    return {"n": record["n"]}
"""
RANGE = ("--param", "day", "--from", "2024-01-01", "--to", "2024-01-03")


def written(folder: Path, **changes: Any) -> None:
    """Write the pipeline, with other sections where they are given."""
    definition = {
        "name": "daily",
        "params": {"day": {"type": "date"}, "least": {"type": "integer", "default": 0}},
        "extract": {
            "source": "sqlite:///x.db",
            "query": "SELECT id, day, n FROM t WHERE day = {{ day }} AND n >= {{ least }}",
            "key": "id",
        },
        "transform": {"type": "python", "function": "transforms:judged", "on_failure": "abort"},
        "load": {"destination": "out.jsonl", "mode": "append", "include": ["day"]},
        **changes,
    }
    (folder / "pipeline.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in definition.items()))


def made(folder: Path) -> Path:
    """Make the project in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "transforms.py").write_text(CODE)
    days = ", ".join(f"({day}, '2024-01-0{day}', {day})" for day in range(1, 5))
    run_sql(folder, "CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT, n INTEGER)", f"INSERT INTO t VALUES {days}")
    written(folder)
    return folder


def ends(done: Ended) -> list[tuple[str, str]]:
    return [(each["name"], each["status"]) for each in done.report["partitions"]]


def statuses(done: Ended) -> list[str]:
    return [status for _, status in ends(done)]


def run_ids(done: Ended) -> list[str | None]:
    return [each["run_id"] for each in done.report["partitions"]]


class Gate:
    """Holds the record of a day in the pipeline's function, until the gate is opened."""

    def __init__(self, folder: Path, day: str) -> None:
        self._path = folder / "gate"
        (folder / "gated").write_text(day)
        os.mkfifo(self._path)
        self._writing: int | None = None

    def is_reached(self) -> bool:
        """Tell whether the function waits at the gate. From then on no other comes to it."""
        if self._writing is None:
            try:
                self._writing = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads
                return False
            self._path.unlink()
        return True

    def open(self) -> None:
        """Let the function go on."""
        assert self._writing is not None, "nobody waits at the gate"
        os.close(self._writing)
