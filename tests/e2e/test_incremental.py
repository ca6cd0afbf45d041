"""Tests runs that take only what no earlier run has read, embedded and on a cluster."""

from __future__ import annotations

import json

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom.views import open_views
from support.clients import ended, request_of
from support.command import Command, runs
from support.command import loom as loom_process
from support.projects import ids, project
from support.sqlite_files import run_sql

CODE = """
from pathlib import Path

def judged(record):
    if record["id"] == "bad" and not Path(__file__).with_name("mended").exists():
        raise SystemExit("bad")
    return {"n": record["n"]}
"""


LOADED_BY_KEY = {"destination": "sqlite:///x.db?table=grown", "mode": "upsert", "key": ["id"]}


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path):
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return tmp_path, "sqlite:///out.db?table=grown", LoomConfig.load(tmp_path / "loom.yaml"), {}
    cluster = request.getfixturevalue("cluster")
    config = LoomConfig.load(cluster.project / "loom.yaml")
    return cluster.project / "grown", "${RESULTS}?table=grown", config, cluster.credentials


def grown(folder, destination, rows, **incremental):
    made = project(
        folder, 1, name="grown", source="events.jsonl", destination=destination, code=CODE,
        transform={"type": "python", "function": "transforms:judged", "on_failure": "abort"},
        extract={"batch_size": 2, "incremental": {"column": "at", **incremental}}, load={"mode": "append"},
    )  # fmt: skip
    made.path("events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def row(name, clock):
    return {"id": name, "at": f"2026-03-01T{clock}:00Z", "n": 1}


async def test_runs_take_what_is_new_and_what_came_late_once_each(mode):
    folder, destination, config, environ = mode
    rows = [row("a", "08:00"), row("b", "09:00"), row("c", "10:00")]

    async def run(**changes):
        made = grown(folder, destination, rows, lag="90m")
        async with open_session(config, cluster=config.distributed) as session:
            request = request_of(made, config, **changes)
            report = (await ended(session, (await session.start(request)).run_id)).report
        return report, ids(await made.loaded(environ))

    async def mark():
        async with open_views(config) as views:
            return [each.newest for each in await views.marks("grown")]

    assert (await run())[1] == ["a", "b", "c"]
    assert await mark() == ["2026-03-01T10:00:00+00:00"]

    rows += [row("tie", "10:00"), row("late", "08:45"), row("too_late", "08:00")]
    report, loaded = await run()
    assert (report.records["extracted"], loaded) == (2, ["a", "b", "c", "late", "tie"])
    assert (await run())[0].records["extracted"] == 0

    rows += [row("d", "11:00"), row("bad", "12:00"), {"id": "naive", "at": "2026-03-01T11:00:00", "n": 1}]
    failed, _ = await run()
    assert failed.status == "failed"
    assert await mark() == ["2026-03-01T10:00:00+00:00"]

    (folder / "mended").touch()
    async with open_session(config, cluster=config.distributed) as session:
        await session.resume(failed.run_id)
        resumed = (await ended(session, failed.run_id)).report
    assert (resumed.status, resumed.records["loaded"], resumed.records["quarantined"]) == ("succeeded", 2, 1)
    assert await mark() == ["2026-03-01T12:00:00+00:00"]
    assert (await run())[1] == ["a", "b", "bad", "c", "d", "late", "tie"]

    report, loaded = await run(full_refresh=True)
    assert report.records["loaded"] == len(rows) - 1
    assert len(loaded) == 7 + len(rows) - 1


def test_the_mark_is_shown_set_and_forgotten(tmp_path, loom):
    grown(tmp_path, "out.jsonl", [row("a", "08:00"), row("b", "09:00")])
    assert loom("state", "set", "pipeline.yaml", "2026-03-01T08:30:00").code == 2
    assert loom("state", "set", "pipeline.yaml", "2026-03-01T08:30:00Z").code == 0
    assert loom("run", "pipeline.yaml", "--format", "json").report["records"]["loaded"] == 1
    [shown] = loom("state", "show", "--format", "json").report
    assert (shown["pipeline"], shown["column"], shown["newest"]) == ("grown", "at", "2026-03-01T09:00:00+00:00")
    refused = loom("state", "reset", "pipeline.yaml")
    assert (refused.code, "named 'pipeline.yaml' is stored here. Those of grown are." in refused.err) == (2, True)
    assert loom("state", "reset", "grown").code == 0
    assert loom("run", "pipeline.yaml", "--format", "json").report["records"]["loaded"] == 2


def test_a_database_is_asked_for_what_is_new_and_for_what_may_have_come_late(tmp_path, loom):
    made = grown(tmp_path, "out.jsonl", [], lag="90m")
    changed = {**made.definition["extract"], "source": "sqlite:///x.db?table=t", "key": "id"}
    made.pipeline.write_text(json.dumps({**made.definition, "extract": changed}))

    def loaded(*rows):
        run_sql(tmp_path, *(f"INSERT INTO t VALUES {each}" for each in rows))
        report = loom("run", "pipeline.yaml", "--format", "json").report
        return report["records"]["loaded"], report["records"]["quarantined"]

    run_sql(tmp_path, "CREATE TABLE t (id TEXT PRIMARY KEY, at TEXT, n INTEGER)")
    assert loaded("('a', '2026-03-01T08:00:00Z', 1), ('b', '2026-03-01T10:00:00Z', 1), ('none', NULL, 1)") == (2, 1)
    assert loaded() == (0, 1)
    assert loaded("('tie', '2026-03-01T12:00:00+02:00', 1), ('late', '2026-03-01T08:45:00Z', 1)") == (2, 1)
    assert loaded("('too_late', '2026-03-01T08:00:00Z', 1), ('long_ago', '2026-02-01T08:00:00Z', 1)") == (0, 1)
    checks = loom("validate", "pipeline.yaml", "--format", "json").report[0]["checks"]
    assert [each["detail"] for each in checks if each["check"] == "incremental"] == [
        "the source is asked for at >= the mark less 90m"
    ]


def test_a_row_that_changed_in_another_file_replaces_the_one_that_was_loaded(tmp_path, loom):
    made = grown(tmp_path, "out.jsonl", [], lag="90m")
    extract = {**made.definition["extract"], "source": "in/*.jsonl"}
    made.pipeline.write_text(json.dumps({**made.definition, "extract": extract, "load": LOADED_BY_KEY}))
    made.path("in").mkdir()

    def loaded(file, *rows):
        made.path(f"in/{file}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
        records = loom("run", "pipeline.yaml", "--format", "json").report["records"]
        there = run_sql(tmp_path, "SELECT id, n FROM grown ORDER BY id")
        return records["loaded"], records["quarantined"], dict(there)

    first = [row("a", "08:00"), row("b", "08:10"), row("c", "08:20")]
    assert loaded("1", *first) == (3, 0, {"a": 1, "b": 1, "c": 1})
    changed = [{**row("a", "09:00"), "n": 2}, {**row("b", "08:05"), "n": 2}]
    assert loaded("2", *changed) == (1, 0, {"a": 2, "b": 1, "c": 1}), "b is older than what was read"
    twice = [{**row("c", "09:10"), "n": 3}, {**row("c", "09:20"), "n": 4}, {**row("c", "09:20"), "n": 5}]
    assert loaded("3", *twice) == (1, 1, {"a": 2, "b": 1, "c": 4}), "two rows of one time are duplicates"
    assert loaded("4") == (0, 0, {"a": 2, "b": 1, "c": 4})


async def test_a_run_that_is_killed_and_resumed_moves_the_mark_once_everything_is_loaded(tmp_path):
    rows = [row(f"r{number:04}", f"08:{number % 60:02}") for number in range(600)]
    made = grown(tmp_path, "sqlite:///out.db?table=grown", rows)
    command = await Command.begin(made.folder, "run", made.pipeline.name, "--format", "json")
    await command.reach(lambda: bool(runs(made.folder)) and made.path("out.db").exists())
    await command.kill()
    shown = await loom_process(made.folder, "state", "show", "--format", "json")
    assert shown.report == []
    finished = await loom_process(made.folder, "resume", runs(made.folder)[-1], "--format", "json")
    assert finished.report["records"]["loaded"] == 600
    assert len(set(ids(await made.loaded()))) == len(await made.loaded()) == 600
    again = await loom_process(made.folder, "run", made.pipeline.name, "--format", "json")
    assert again.report["records"]["extracted"] == 0
