"""Tests `loom evaluate --apply` killed with SIGKILL amid it, and given again."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from support.command import Command, loom, runs
from support.projects import Project, ids, project, python, reviews

RECORDS = 120
CODE = """
def judged(record):
    return {"score": int(record["stars"])}
"""
STARS = {"type": "range", "name": "stars", "field": "score", "min": 2, "threshold": 1.0}
DESTINATION = "sqlite:///out.db?table=loaded"


def of_stars(*stars: int) -> list[str]:
    return [row["id"] for row in reviews(RECORDS) if int(row["stars"]) in stars]


def table(made: Project) -> list[str]:
    with closing(sqlite3.connect(made.path("out.db"), timeout=10)) as database:
        return [name for (name,) in database.execute("SELECT id FROM loaded ORDER BY id")]


@pytest.mark.parametrize("left", [of_stars(2, 3), of_stars(1, 2, 3)], ids=["withdrawn", "loaded"])
async def test_killed_once_rows_have_changed_it_is_finished_and_nothing_happens_twice(tmp_path, left):
    made = project(
        tmp_path, RECORDS, transform=python(), evaluate={"evaluators": [STARS]}, code=CODE, destination=DESTINATION,
    )  # fmt: skip
    await loom(tmp_path, "run", made.pipeline.name, "--format", "json")
    (run_id,) = runs(tmp_path)
    other = Project(made.folder, made.path("other.yaml"), made.definition)
    other.say(evaluate={"evaluators": [{**STARS, "min": 1, "max": 3}]})
    arguments = ("evaluate", run_id, "--with", "other.yaml", "--apply", "--format", "json")

    command = await Command.begin(tmp_path, *arguments)
    await command.reach(lambda: table(made) == left)
    await command.kill()
    finished = await loom(tmp_path, *arguments)
    again = await loom(tmp_path, *arguments)

    assert finished.code == again.code == 0, finished.err + again.err
    assert (again.report["applied"]["loaded"], again.report["applied"]["withdrawn"]) == (0, 0)
    assert ids(await made.loaded()) == of_stars(1, 2, 3)
    kept = (await loom(tmp_path, "quarantine", "list", "--run-id", run_id, "--limit", "500", "--format", "json")).report
    waiting = sorted(each["record_id"] for each in kept if not each["resolved"])
    assert waiting == of_stars(4, 5)
    assert {each["resolution_action"] for each in kept if each["resolved"]} == {"rescored"}
    assert [each["record_id"] for each in kept].count(of_stars(1)[0]) == 1
