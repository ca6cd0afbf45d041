"""Tests runs for targets: where their rows go, what is told of them, and that each target learns for itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from support.projects import project

TARGETS = """
default_target: dev
targets:
  dev:
    load: {destination: "sqlite:///dev.db?table={pipeline}"}
    monitoring: {cost_budget: 0.5}
  prod:
    load: {destination: "sqlite:///prod.db?table={pipeline}"}
"""


@pytest.fixture
def grown(tmp_path):
    (tmp_path / "loom.yaml").write_text(TARGETS)
    return project(
        tmp_path, 3, name="grown", destination="nowhere.csv", code="def judged(record):\n    return {}\n",
        extract={"key": "id", "incremental": {"column": "stars"}}, load={"mode": "append"},
        transform={"type": "python", "function": "transforms:judged"},
    )  # fmt: skip


def only(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchone()[0]


def rows(path):
    return only(path, "SELECT count(*) FROM grown")


def test_each_target_has_its_destination_its_budget_and_its_mark(loom, grown, tmp_path):
    dev = loom("run", "pipeline.yaml", "--format", "json").report
    assert (dev["target"], dev["budget"]["limit"], dev["records"]["loaded"]) == ("dev", 0.5, 3)
    prod = loom("run", "pipeline.yaml", "--target", "prod", "--format", "json").report
    assert (prod["target"], prod["budget"], prod["records"]["loaded"]) == ("prod", None, 3)
    assert (rows(tmp_path / "dev.db"), rows(tmp_path / "prod.db")) == (3, 3)
    assert not (tmp_path / "nowhere.csv").exists()
    marks = loom("state", "show", "--format", "json").report
    assert [each["pipeline"] for each in marks] == ["grown@dev", "grown@prod"]
    assert [each["target"] for each in loom("history", "--format", "json").report] == ["prod", "dev"]
    assert loom("lineage", "grown", "--format", "json").report[0]["target"] == "prod"
    assert "grown 1.0.0 for prod" in loom("status", prod["run_id"]).out
    # A run for another target does not take the place of what is registered.
    registered = "SELECT json_extract(definition, '$.target') FROM pipelines"
    assert only(tmp_path / ".loom/loom.db", registered) == "dev"
