"""Runs pipelines that spawn others: each once, embedded and on RabbitMQ, also where the command is killed between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loom import SyncLoom
from loom.project.definition_file import load
from loom.session import open_session
from loom.views import open_views
from loom_common.contracts.v1 import RegisterPipeline
from loom_common.domain.values.ids import run_id_for, spawn_key
from loom_common.errors import ConfigurationError, InvalidDefinition
from support.clients import ended, request_of, settles
from support.command import Command, runs
from support.command import loom as loom_at
from support.projects import Project, ai, project
from support.served_api import reached, served, started

RECORDS = 6


def chained(folder: Path, source="out.csv", transform=None, destination="out.csv", below="sums.csv") -> Project:
    """Write a pipeline that spawns one which reads what it loads, in files of their own."""
    made = project(folder, RECORDS, name="first", destination=destination)
    made.say(spawn="second")
    second = {
        "name": "second",
        "extract": {"source": source, "key": "id", "batch_size": 2},
        "transform": transform or {"type": "passthrough"},
        "load": {"destination": below},
    }
    (folder / "second.yaml").write_text(json.dumps(second, indent=2), encoding="utf-8")
    (folder / "loom.yaml").touch()
    return made


def child_of(run_id: str) -> str:
    return run_id_for(spawn_key("first", run_id, "second"))


def test_what_a_run_spawns_runs_once_after_it_and_each_knows_the_other(loom, tmp_path):
    chained(tmp_path)
    done = loom("run", "pipeline.yaml", "--format", "json")
    first, second = done.report["runs"]
    assert [(each["name"], each["status"], each["loaded"]) for each in (first, second)] == [
        ("first", "succeeded", RECORDS),
        ("second", "succeeded", RECORDS),
    ]
    assert second["run_id"] == child_of(first["run_id"])
    told = loom("lineage", "first", "--format", "json").report[0]
    assert told["spawned"] == [{"run_id": second["run_id"], "pipeline": "second", "status": "succeeded"}]
    assert loom("lineage", "second", "--format", "json").report[0]["spawned_by"] == first["run_id"]
    again = loom("resume", first["run_id"], "--format", "json").report["runs"]
    assert [each["run_id"] for each in again] == [first["run_id"], second["run_id"]]
    assert len(runs(tmp_path)) == 2
    assert "second: spawn" not in loom("lineage", "first", "--downstream").out
    assert "first: spawn" in loom("lineage", "first", "--downstream").out
    assert loom("run", "pipeline.yaml", "--sample", "2").code == 0
    assert len(runs(tmp_path)) == 3  # a trial spawns nothing


def test_status_shows_the_parent_of_a_run_and_what_a_run_has_spawned(loom, tmp_path):
    chained(tmp_path)
    first, second = (each["run_id"] for each in loom("run", "pipeline.yaml", "--format", "json").report["runs"])
    shown = loom("status", first, "--format", "json").report
    assert (shown["spawned_by"], shown["spawned"]) == (
        None,
        [{"run_id": second, "pipeline": "second", "status": "succeeded"}],
    )
    assert loom("status", second, "--format", "json").report["spawned_by"] == first
    assert f"second: {second} (succeeded)" in loom("status", first).words
    assert f"Spawned by {first}" in loom("status", second).words
    assert loom("run", "pipeline.yaml", "--sample", "2").code == 0
    sampled = loom("status", "latest", "--format", "json").report
    assert (sampled["sample"], sampled["spawned"], len(runs(tmp_path))) == (2, [], 3)


def test_a_run_from_python_is_followed_by_what_it_spawns_and_gone_on_with_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = chained(tmp_path)
    project = SyncLoom()
    done = project.run("pipeline.yaml", idempotency_key="once")
    assert [(each.pipeline, each.run_id, each.status) for each in done.spawned] == [
        ("second", child_of(done.run_id), "succeeded")
    ]
    assert project.run("pipeline.yaml", idempotency_key="once").spawned == done.spawned
    assert project.resume(done.run_id).run_id == done.run_id
    assert runs(tmp_path) == [done.run_id, child_of(done.run_id)]
    assert project.get_status(done.run_id)["spawned"][0]["run_id"] == child_of(done.run_id)
    assert project.run("pipeline.yaml", collect=True).spawned == ()
    (tmp_path / "second.yaml").unlink()
    with pytest.raises(ConfigurationError, match="no pipeline named 'second'"):
        project.run("pipeline.yaml")
    made.say(spawn=[])
    assert project.run("pipeline.yaml").spawned == ()
    assert len(runs(tmp_path)) == 4


def test_python_code_is_told_what_a_run_could_not_spawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chained(tmp_path, destination="first.csv")  # the second one reads `out.csv`, which nobody writes
    done = SyncLoom().run("pipeline.yaml")
    (spawned,) = done.spawned
    assert (done.status, spawned.status, spawned.run_id) == ("succeeded", "not run", None)
    assert "out.csv" in spawned.why
    assert SyncLoom().get_status(done.run_id)["spawned"][0]["status"] == "not started"
    (tmp_path / "out.csv").write_text((tmp_path / "first.csv").read_text(encoding="utf-8"), encoding="utf-8")
    SyncLoom().resume(done.run_id)
    assert SyncLoom().get_status(done.run_id)["spawned"][0]["status"] == "succeeded"


async def test_a_run_that_the_api_starts_spawns_others_and_its_page_names_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chained(tmp_path)
    async with served() as (client, _):
        first = await started(client, "/pipelines/first/run")
        spawned = [{"run_id": child_of(first), "pipeline": "second", "status": "succeeded"}]
        await reached(client, first, lambda report: report["spawned"] == spawned)
        assert (await client.get(f"/runs/{child_of(first)}")).json()["spawned_by"] == first
        pages = [(await client.get(client.base_url.join(f"/runs/{each}"))).text for each in (first, child_of(first))]
    assert f'spawned <a href="/pipelines/second">second</a> <a class="id" href="/runs/{child_of(first)}">' in pages[0]
    assert f'spawned by <a class="id" href="/runs/{first}">' in pages[1]
    assert runs(tmp_path) == [first, child_of(first)]


def test_a_run_that_fails_spawns_nothing_and_one_that_is_spawned_and_fails_is_said(loom, tmp_path):
    broken = {"type": "python", "function": "broken:broken", "on_failure": "abort"}
    (tmp_path / "broken.py").write_text("def broken(record): raise ValueError(record)", encoding="utf-8")
    made = chained(tmp_path, transform=broken)
    done = loom("run", "pipeline.yaml", "--format", "json")
    assert (done.code, [each["status"] for each in done.report["runs"]]) == (1, ["succeeded", "failed"])
    made.say(spawn="second", transform=broken)
    done = loom("run", "pipeline.yaml")
    assert done.code == 1
    assert "second is not run: first failed" in " ".join(done.err.split())


def test_a_circle_and_a_name_of_no_pipeline_are_told_with_their_lines(loom, tmp_path):
    made = chained(tmp_path)
    second = json.loads((tmp_path / "second.yaml").read_text(encoding="utf-8"))
    (tmp_path / "second.yaml").write_text(json.dumps({**second, "spawn": ["first"]}, indent=2), encoding="utf-8")
    for file in ("pipeline.yaml", "second.yaml"):
        said = loom("validate", file)
        assert (said.code, "is a circle" in said.words) == (2, True), said
    assert loom("run", "pipeline.yaml").code == 2
    made.say(spawn=["secnd"])
    said = loom("validate", "pipeline.yaml")
    assert (
        "spawn[0]: found 'secnd'; expected the name of a pipeline of this project: second. Did you mean" in said.words
    )
    assert runs(tmp_path) == []


async def test_a_command_killed_while_the_spawned_run_goes_on_resumes_that_one(tmp_path, model):
    chained(tmp_path, transform=ai(model.base_url, prompt="Mood of {{ input.review }}", output={"mood": "string"}))
    model.hold_after(2)
    command = await Command.begin(tmp_path, "run", "pipeline.yaml")
    await command.reach(lambda: model.calls > 2)
    await command.kill()
    model.let_go()
    first = runs(tmp_path)[0]
    done = (await loom_at(tmp_path, "resume", first, "--format", "json")).report["runs"]
    assert [each["why"] for each in done] == [None, None]
    assert [(each["run_id"], each["status"]) for each in done] == [(first, "succeeded"), (child_of(first), "succeeded")]
    assert runs(tmp_path) == [first, child_of(first)]
    assert (tmp_path / "sums.csv").read_text(encoding="utf-8").count("\n") == RECORDS + 1


async def test_on_rabbitmq_the_end_of_a_run_starts_what_it_spawns_once(fleet):
    (folder, between), (_, below) = fleet.own("first_rows"), fleet.own("second_rows")
    made = chained(folder, between, None, between, below)
    request = request_of(made, fleet.config)
    async with open_session(fleet.config, cluster=True) as session, open_views(fleet.config) as views:
        with pytest.raises(InvalidDefinition, match=r"spawn\[0\].* a registered pipeline"):
            await session.start(
                request.model_copy(update={"definition": {**request.definition, "spawn": ["second_one"]}})
            )
        second = load(made.folder / "second.yaml")
        await session.register(RegisterPipeline(definition=second.definition, base=request.base))
        with pytest.raises(InvalidDefinition, match="does not spawn second in turn"):
            await session.register(
                RegisterPipeline(definition={**second.definition, "spawn": ["second"]}, base=request.base)
            )
        first = (await session.start(request)).run_id
        assert (await ended(session, first)).report.status == "succeeded"

        async def status():
            return await views.status(child_of(first))

        await settles(status, "succeeded")
        (told,) = await views.lineage("first", first)
        assert [(each.run_id, each.status) for each in told.spawned] == [(child_of(first), "succeeded")]
        (below,) = await views.lineage("second", child_of(first))
        assert (below.run_id, below.spawned_by, below.output_record_count) == (child_of(first), first, RECORDS)
