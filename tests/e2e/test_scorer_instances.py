"""Runs a pipeline whose scorer has processes of its own, which end amid the run."""

from __future__ import annotations

import csv

from support.books import assert_balanced
from support.projects import project

CODE = """
import os, signal
from pathlib import Path

class Lengths:
    def __init__(self):
        self.calls = 0
    def score(self, texts):
        self.calls += 1
        once = Path(__file__).with_name("killed")
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "poison" in texts:
            os._exit(9)
        return [{"n": len(text)} for text in texts]
"""


def test_processes_that_end_amid_a_run_lose_nothing_but_the_text_at_fault(tmp_path, run):
    rows = [{"id": str(number), "review": "poison" if number == 7 else "a" * number} for number in range(1, 61)]
    scorer = {"name": "transforms:Lengths", "instances": 2, "batch": {"size": 10, "wait": "20ms"}}
    transform = {"type": "scorer", "scorer": scorer, "field": "review", "output": {"n": "integer"}}
    project(tmp_path, rows, transform=transform, extract={"batch_size": 5}, destination="out.csv", code=CODE)
    report = run().report
    assert_balanced(report)
    assert report["records"]["loaded"] == 59
    assert report["records"]["quarantined"] == 1
    loaded = {row["id"]: row["n"] for row in csv.DictReader((tmp_path / "out.csv").read_text().splitlines())}
    assert loaded == {row["id"]: str(len(row["review"])) for row in rows if row["review"] != "poison"}
