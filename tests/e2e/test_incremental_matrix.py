"""Tests, for files and for databases, what incremental runs take of ties, late records and times of a zone, after runs
that were partial, failed and were resumed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from contextlib import closing

import asyncpg
import duckdb
import pytest

from support.sql_systems import in_mysql
from support.sqlite_files import run_sql

CODE = """
from pathlib import Path

def judged(record):
    if record["id"] == "bad" and not Path(__file__).with_name("mended").exists():
        raise SystemExit("bad")
    return {"n": int(record["n"])}
"""
SOURCES = {
    "file": "events.csv",
    "sqlite": "sqlite:///x.db?table=events",
    "duckdb": "duckdb:///x.duckdb?table=events",
    "postgres": "${DB}?table=events",
    "mariadb": "${DB}?table=events",
}


class Events:
    """Holds the rows of a source, whose times are clocks of Berlin in March."""

    def __init__(self, kind, folder, url):
        self.kind, self.folder, self.url = kind, folder, url
        self.rows = []

    def add(self, **rows):
        """Add rows by their ids: a clock, and the number that the evaluator judges."""
        for name, (clock, number) in rows.items():
            self.rows.append((name, f"2026-03-01T{clock}:00", number))
        clock = "datetime" if self.kind == "mariadb" else "timestamp"
        table = f"CREATE TABLE events (id varchar(20) PRIMARY KEY, changed {clock}, n integer)"
        values = ", ".join(f"('{name}', '{at}', {n})" for name, at, n in self.rows)
        statements = ("DROP TABLE IF EXISTS events", table, f"INSERT INTO events VALUES {values}")
        match self.kind:
            case "file":
                lines = io.StringIO()
                csv.writer(lines).writerows([("id", "changed", "n"), *self.rows])
                (self.folder / "events.csv").write_text(lines.getvalue())
            case "sqlite":
                run_sql(self.folder, *statements)
            case "duckdb":
                with closing(duckdb.connect(self.folder / "x.duckdb")) as db:
                    db.execute("; ".join(statements))
            case "postgres":
                asyncio.run(self._in_postgres(statements))
            case "mariadb":
                asyncio.run(self._in_mariadb(statements))

    async def _in_postgres(self, statements):
        connection = await asyncpg.connect(self.url)
        await connection.execute("; ".join(statements))
        await connection.close()

    async def _in_mariadb(self, statements):
        for each in statements:
            await in_mysql(self.url, each)


@pytest.fixture(params=SOURCES)
def events(request, tmp_path, monkeypatch):
    url = request.getfixturevalue(f"{request.param}_url") if request.param in ("postgres", "mariadb") else ""
    monkeypatch.setenv("DB", url)
    (tmp_path / "transforms.py").write_text(CODE)
    return Events(request.param, tmp_path, url)


def written(events, on_late="load"):
    definition = {
        "name": "grown",
        "extract": {
            "source": SOURCES[events.kind],
            "key": "id",
            "batch_size": 2,
            "incremental": {"column": "changed", "lag": "1h", "zone": "Europe/Berlin", "on_late": on_late},
        },
        "transform": {"type": "python", "function": "transforms:judged", "on_failure": "abort"},
        "evaluate": {
            "evaluators": [{"type": "range", "field": "n", "min": 1, "threshold": 1.0}],
            "batch_threshold": 0.8,
        },
        "load": {"destination": "out.jsonl", "mode": "append"},
    }
    (events.folder / "pipeline.yaml").write_text(json.dumps(definition))


def test_every_record_is_taken_once(events, loom):
    def run(*command):
        done = loom(*(command or ("run", "pipeline.yaml")), "--format", "json").report
        counts = done["records"]
        return done, (counts["loaded"], counts["rejected"], counts["quarantined"])

    def mark():
        return loom("state", "show", "--format", "json").report[0]["newest"]

    written(events)
    events.add(a=("08:00", 1), b=("09:00", 1), low=("10:00", 0))
    partial, counts = run()
    assert (partial["status"], counts) == ("partial", (2, 1, 0))
    assert mark() == "2026-03-01T09:00:00+00:00"

    events.add(tie=("10:00", 1), late=("09:30", 1), too_late=("08:59", 1), c=("11:00", 1), bad=("11:30", 1))
    failed, _ = run()
    assert (failed["status"], mark()) == ("failed", "2026-03-01T09:00:00+00:00")
    (events.folder / "mended").touch()
    resumed, counts = run("resume", failed["run_id"])
    assert (resumed["status"], counts) == ("succeeded", (4, 0, 0))
    assert mark() == "2026-03-01T10:30:00+00:00"

    written(events, on_late="quarantine")
    events.add(later=("11:00", 1), d=("12:00", 1), newest=("12:30", 1))
    assert run()[1] == (2, 0, 1)
    written(events, on_late="ignore")
    events.add(ignored=("12:00", 1))
    assert run()[0]["records"]["extracted"] == 0
    assert mark() == "2026-03-01T11:30:00+00:00"
    loaded = [json.loads(line)["id"] for line in (events.folder / "out.jsonl").read_text().splitlines()]
    assert sorted(loaded) == ["a", "b", "bad", "c", "d", "late", "newest", "tie"]
