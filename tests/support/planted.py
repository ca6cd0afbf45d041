"""Plants values in sensitive fields, and looks for them in all that is written, also in the middle of a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.all_written import everything

KEY = base64.b64encode(bytes(range(32))).decode()
PLANTED = "pl4nted"
"""Stands in every value that nobody is to see."""
CODE = """
import pathlib
import shutil

def touched(record):
    shutil.copytree(".loom", f"seen-while-running/{record['id']}", dirs_exist_ok=True, ignore_dangling_symlinks=True)
    if "broken" in record["email"]:
        raise ValueError(f"no address: {record['email']}")
    return {"email": record["email"], "note": f"to {record['email']}", "length": len(record["email"])}
"""
"""Keeps what Loom has written by the time at which a record is worked on, and says the value wherever it can."""
PEOPLE: tuple[dict[str, Any], ...] = (
    {"id": "a", "email": "ada.pl4nted@example.org"},
    {"id": "b", "email": "a.very.long.address.pl4nted@example.org"},
    {"id": "c", "email": "broken.pl4nted.example"},
)
"""One that is loaded, one that the gate keeps back, and one that the code does not like."""
CUT = '{"id": "d", "email": "cut.pl4nted@exam'
"""No record, so that nobody knows what stands in which field."""


def make_project(folder: Path, source: str, **extract: Any) -> None:
    """Write a pipeline over people, whose addresses are sensitive."""
    definition = {
        "name": "people",
        "sensitive": ["email"],
        "extract": {"source": source, "batch_size": 2, **extract},
        "transform": {"type": "python", "function": "code:touched"},
        "evaluate": {"evaluators": [{"type": "range", "field": "length", "max": 30, "threshold": 1}]},
        "load": {"destination": "out.jsonl", "include": ["id"]},
    }
    lines = (f"{key}: {json.dumps(value)}\n" for key, value in definition.items())
    (folder / "people.yaml").write_text("".join(lines))
    (folder / "code.py").write_text(CODE)


def holding(folder: Path, said: Sequence[str], logged: str) -> set[str]:
    """Return the names of what holds a planted value: files, tables, outputs and logs, but not the destination."""
    written = list(everything(folder, said, logged, but=("out.jsonl",)))
    during = [name for name, _ in written if "seen-while-running" in name]
    assert any("journal.db" in name or "state.db" in name for name in during), "nothing was looked at during the run"
    return {name for name, content in written if PLANTED.encode() in content.lower()}


def loaded(folder: Path) -> list[str]:
    """Return the addresses that the destination holds."""
    return [json.loads(line)["email"] for line in (folder / "out.jsonl").read_text().splitlines()]
