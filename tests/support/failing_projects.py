"""Makes projects whose functions fail or score low on purpose, and what is in their destinations and beside them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from support.command import Ended
from support.projects import Project, project, python

CODE = """
def judged(record):
    return {"mood": "good"}

def misspelt(record):
    return {"mood": record["moood"]}

def forty_bad(record):
    number = int(record["id"][1:])
    if 40 <= number < 80:
        raise ValueError("bad")
    return {"mood": "good"}

def fails(output, record):
    raise RuntimeError("no verdict")

def low(output, record):
    return 0.0

def high_for_few(output, record):
    return 1.0 if int(record["id"][1:]) < 8 else 0.0
"""
PLACES = ("results/out.csv", "results/out.jsonl", "sqlite:///out.db?table=moods")
"""Holds a destination of every kind, as `load.destination` names it."""


def judged_by(function: str, **more: Any) -> dict[str, Any]:
    """Return the section `evaluate` with one evaluator, a function of `CODE`."""
    return {
        "evaluators": [{"type": "python", "name": "judge", "function": f"transforms:{function}", "threshold": 0.5}],
        **more,
    }


def loaded(made: Project) -> list[dict[str, Any]]:
    """Return the rows of the project's destination."""
    return asyncio.run(made.loaded())


def with_a_result(
    run: Callable[..., Ended], folder: Path, destination: str, count: int = 20, **changes: Any
) -> Project:
    """Return a project whose destination holds a whole result, put there in mode replace. The next run is as `changes`
    say."""
    made = project(folder, count, transform=python(), code=CODE, destination=destination, load={"mode": "replace"})
    first = run()
    assert (first.code, first.report["records"]["loaded"]) == (0, count), first.err
    made.say(**changes)
    return made


def staging_of(folder: Path) -> list[str]:
    """Return what lies beside the destinations of a project: staging tables and folders of parts."""
    parts = [str(path.relative_to(folder)) for path in folder.rglob("*.loom/run_*") if path.is_dir()]
    if not (folder / "out.db").exists():
        return parts
    with closing(sqlite3.connect(folder / "out.db")) as database:
        names = database.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE '%\\_\\_loom\\_%' ESCAPE '\\'"
        ).fetchall()
    return parts + [name for (name,) in names]
