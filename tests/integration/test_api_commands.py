"""Tests commands over HTTP. The API and the engine that it starts run in this process, over a small project."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from loom.project.config import LoomConfig
from loom.views import open_views
from loom_api.running import noting
from loom_coordinator.db import audit_log
from loom_dev.waiting import INTERVAL, within
from support.served_api import CODE, PIPELINE, ended, make_project, reached, rows, served, started
from support.streamed import arrive, ids_loaded, state, stream_of, streaming, windows

WAITING = """
import pathlib, time

def doubled(record):
    while record["id"] != "a" and not (pathlib.Path("go").exists() or pathlib.Path("leave").exists()):
        time.sleep(0.01)
    return {"double": 2 * int(record["n"])}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the working directory, a project."""
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    return tmp_path


async def test_a_run_is_started_once_for_a_key_and_a_kept_record_is_run_again_with_other_code(project):
    async with served() as (client, _):
        run_id = await started(client, said={"params": {"least": 1}}, **{"Idempotency-Key": "k1"})
        report = await ended(client, run_id)
        assert (report["status"], report["records"]["loaded"], report["params"]) == ("succeeded", 2, {"least": 1})
        again = await client.post(
            "/pipelines/numbers/run", json={"params": {"least": 1}}, headers={"Idempotency-Key": "k1"}
        )
        assert (again.status_code, again.json()["run_id"]) == (202, run_id)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == f"/api/v1/runs/{run_id}"
        other = await client.post("/pipelines/numbers/run", headers={"Idempotency-Key": "k1"})
        assert (other.status_code, "came with another request" in other.json()["detail"]) == (422, True)

        (project / "code.py").write_text(CODE.replace("int(record", "len(record"))
        replay = await started(client, "/quarantine/c/retry", {"run_id": run_id})
        assert (await ended(client, replay))["replay_of"] == run_id
        assert rows(project) == {"a": 2, "b": 4, "c": 2}
        async with within(30, "the replayed record to be resolved"):
            while (
                (resolved := await client.post("/quarantine/c/retry", json={})).json()["detail"].endswith("succeeded.")
            ):
                await asyncio.sleep(INTERVAL)
        assert resolved.status_code == 409
        assert resolved.json()["detail"] == "Nothing is replayed. Resolved: 1 record (1 reprocessed)."
        assert (await client.get("/runs")).json()["items"][1:] != []


async def test_a_command_is_noted_as_done_by_whoever_carries_it_out_even_if_the_api_is_gone_by_then(
    project, monkeypatch
):
    async def gone(*_, **__):
        """Do nothing, as a process that has ended."""

    monkeypatch.setattr(noting, "audit_log", SimpleNamespace(**{**vars(audit_log), "settle": gone}))
    async with served() as (client, _):
        run_id = await started(client)
        await ended(client, run_id)
        replay = await started(client, "/quarantine/c/retry", {"run_id": run_id})
        await ended(client, replay)
        assert (await client.post(f"/runs/{run_id}/priority", json={"priority": 2})).status_code == 200
        assert (await client.post("/runs/run_9/pause")).status_code == 404
        assert (await client.post(f"/runs/{run_id}/resume")).status_code == 400
        discarded = await client.post("/quarantine-discard", json={"run_id": run_id, "record_ids": ["c"]})
        assert (discarded.status_code, discarded.json()["run_id"]) == (202, run_id)
        async with within(30, "a discarded record"):
            while (await client.get("/quarantine/c")).json()["resolution_action"] != "discarded":
                await asyncio.sleep(INTERVAL)
        assert (await client.post("/quarantine-discard", json={"run_id": run_id})).status_code == 404
        lines = (await client.get("/audit")).json()["items"]
        assert [(each["action"], each["outcome"], each["run_id"]) for each in lines] == [
            ("discard", "done", run_id),
            ("resume", "failed", run_id),
            ("priority", "done", run_id),
            ("replay", "done", replay),
            ("run", "done", run_id),
        ]
        assert "has ended" in lines[1]["reason"]
        async with open_views(LoomConfig()) as views:
            assert {(await views.row(each)).requested_by for each in (run_id, replay)} == {lines[0]["user"]}


async def test_a_run_keeps_the_task_that_its_headers_name_and_each_try_may_name_another(project):
    first, second = (f"air/flow/daily.numbers/01978f6a-8c1e-7c1b-9d0e-3f0a5b6c7d8{each}" for each in "ef")
    async with served() as (client, _):
        keyed = {"Idempotency-Key": "once", "OpenLineage-Root-Parent-Id": first}
        run_id = await started(client, **keyed, **{"OpenLineage-Parent-Id": first})
        assert await started(client, **keyed, **{"OpenLineage-Parent-Id": second}) == run_id
        await ended(client, run_id)
        wrong = await client.post("/pipelines/numbers/run", headers={"OpenLineage-Parent-Id": "daily"})
        assert wrong.status_code == 422
        assert "OpenLineage-Parent-Id" in wrong.text
    async with open_views(LoomConfig()) as views:
        assert (await views.row(run_id)).lineage_parent == {"run": first, "root": first}


async def test_a_run_is_paused_resumed_and_cancelled_and_left_so_that_it_can_be_resumed(project):
    (project / "code.py").write_text(WAITING)
    async with served() as (client, paused):
        run_id = await started(client)
        await reached(client, run_id, lambda report: report["records"]["extracted"] == 3)
        for verb, said, status in (
            ("priority", {"priority": 9}, "running"),
            ("pause", None, "paused"),
            ("resume", {"budget": 5}, "running"),
            ("cancel", None, "cancelled"),
            ("resume", None, "running"),
        ):
            answer = await client.post(f"/runs/{run_id}/{verb}", json=said)
            assert (answer.status_code, answer.json()["status"]) == (200, status), verb
        assert (await client.get(f"/runs/{run_id}/metrics")).json()["priority"] == 9
        acts = [each for each in (await client.get("/audit")).json()["items"] if each["run_id"] == run_id]
        assert [each["action"] for each in acts] == ["resume", "cancel", "resume", "pause", "priority", "run"]
        assert {each["outcome"] for each in acts} == {"done"}
        assert (acts[-1]["resource"], acts[2]["details"]) == ("pipelines/numbers", {"budget": 5})
        beside = await started(client)
        leaving = asyncio.create_task(leave_when_paused(project, run_id, beside))
    await leaving
    assert sorted(paused) == sorted([run_id, beside])
    (project / "go").touch()
    async with served() as (client, paused):
        refused = await client.post("/pipelines/numbers/run")
        assert f"{beside} was paused. Finish it with `loom resume {beside}`" in refused.json()["detail"]
        for each in (await client.get("/runs")).json()["items"]:
            assert (await client.post(f"/runs/{each['run_id']}/resume")).status_code == 200
            await ended(client, each["run_id"])
    assert paused == []
    assert rows(project) == {"a": 2, "b": 4}


async def leave_when_paused(project, *run_ids):
    """Let the transform end once the runs are paused: the engine waits for what is in flight."""
    async with open_views(LoomConfig()) as views, within(30, f"{', '.join(run_ids)} to be paused"):
        while {await views.status(each) for each in run_ids} != {"paused"}:
            await asyncio.sleep(INTERVAL)
    (project / "leave").touch()


async def test_a_stream_is_opened_and_its_window_goes_on_with_the_api_alone(project):
    made = streaming(project)
    arrive(made, "a", range(4))
    async with served() as (client, _):
        run_id = await started(client, "/pipelines/tickets/run")
        async with within(20):
            while len(ids_loaded(made)) < 4:
                await asyncio.sleep(INTERVAL)
        assert (await client.get(f"/runs/{run_id}")).json()["window"]["number"] == 1
        page = (await client.get("http://localhost/pipelines/tickets")).text
        assert stream_of(made) in page
        assert "inbox/*.jsonl" in page
    assert [(number, status) for number, status, _ in windows(made)] == [(1, "paused")]
    async with served() as (client, _):
        assert (await client.post(f"/runs/{run_id}/drain")).json()["status"] == "draining"
        assert (await client.post(f"/runs/{run_id}/resume", json={})).status_code == 200
        async with within(20):
            while state(made, "SELECT state FROM streams") != [("drained",)]:
                await asyncio.sleep(INTERVAL)
        refused = await client.post(f"/runs/{await started(client)}/drain")
    assert (refused.status_code, "is no window of a stream" in refused.json()["detail"]) == (400, True)


async def test_a_run_is_followed_to_its_end(project):
    async with served() as (client, _):
        run_id = await started(client)
        events = [each.split("\n") for each in (await client.get(f"/runs/{run_id}/events")).text.strip().split("\n\n")]
        name, last, data = events[-1]
        assert name == "event: finished"
        assert {each[0] for each in events[:-1]} <= {"event: progress", "event: status"}
        assert json.loads(data.removeprefix("data: ")) == (await client.get(f"/runs/{run_id}")).json()
        known = {"Last-Event-ID": last.removeprefix("id: ")}
        assert (await client.get(f"/runs/{run_id}/events", headers=known)).status_code == 204
        assert (await client.get("/runs/run_9/events")).status_code == 404


async def test_a_definition_is_registered_and_then_run_by_its_name(project):
    async with served() as (client, _):
        answer = await client.post("/pipelines", json={"definition": PIPELINE.replace("numbers", "other")})
        assert answer.status_code == 201, answer.text
        assert (answer.status_code, answer.json()) == (201, {"pipeline": "other", "version": "1.0.0"})
        assert (await client.get(answer.headers["location"].removeprefix("/api/v1"))).json()["last_run"] is None
        report = await ended(client, await started(client, "/pipelines/other/run", {"sample": 1, "load": True}))
        assert (report["pipeline"], report["records"]["loaded"]) == ("other", 1)


async def test_every_mistake_of_a_definition_is_told_with_its_place(project):
    wrong = PIPELINE.replace("in.csv", "inn.csv").replace("batch_size: 1", "batch_sice: 1")
    async with served() as (client, _):
        answer = await client.post("/validate", json={"definition": wrong})
        found = {each["key"]: each for each in answer.json()["errors"]}
        assert (answer.status_code, found.keys()) == (422, {"extract.batch_sice", "source"})
        placed = found["extract.batch_sice"]
        assert (placed["file"], placed["line"], placed["column"]) == ("definition.yaml", 4, 37)
        assert placed["suggestion"] == "batch_size"
        assert "inn.csv" in found["source"]["message"]
        refused = await client.post("/pipelines", json={"definition": wrong})
        assert [each["line"] for each in refused.json()["errors"]] == [4]


async def test_a_definition_without_mistakes_is_checked_and_estimated(project):
    async with served() as (client, _):
        found = (await client.post("/validate", json={"definition": PIPELINE, "connect": True})).json()
        assert (found["pipeline"], found["summary"]) == ("numbers", "numbers 1.0.0: python code:doubled, no evaluators")
        assert [each["column"] for each in found["columns"]] == ["id", "n"]
        estimate = (await client.post("/estimate", json={"definition": PIPELINE, "sample": 2})).json()
        assert (estimate["records"], estimate["sampled"], estimate["cost"]["total"]) == (3, 2, 0.0)


@pytest.mark.parametrize(
    ("path", "said", "status", "words"),
    [
        ("/pipelines/number/run", None, 404, "There is no pipeline named 'number'. Did you mean 'numbers'?"),
        ("/pipelines/numbers.yaml/run", None, 404, "There is no pipeline named 'numbers.yaml'."),
        ("/pipelines/numbers/run", {"parms": {}}, 422, "parms: Extra inputs are not permitted"),
        ("/pipelines/numbers/run", {"load": True}, 422, "`load` says where a sample goes; give `sample`, too"),
        ("/pipelines/numbers/run", {"params": {"most": 1}}, 422, "most"),
        ("/runs/run_9/pause", None, 404, "There is no run run_9 here."),
        ("/runs/run_9/resume", {"budget": 0}, 422, "budget: "),
        ("/runs/run_9/cancel", None, 404, "There is no run run_9"),
        ("/runs/run_9/priority", {"priority": 11}, 422, "priority: "),
        ("/quarantine/nobody/retry", None, 404, "No record 'nobody' is in quarantine."),
        ("/alerts/7/acknowledge", None, 404, "There is no alert 7."),
        ("/dead-letters/x/replay", None, 404, "There is no cluster here"),
        ("/validate", {"definition": "a", "folder": "../x"}, 422, "expected a folder below the project folder"),
        ("/estimate", {"definition": "name: [\n"}, 422, "definition.yaml:"),
    ],
)
async def test_a_command_that_cannot_be_carried_out_is_told_why_and_its_key_is_free(project, path, said, status, words):
    async with served() as (client, _):
        for _ in range(2):
            answer = await client.post(path, json=said, headers={"Idempotency-Key": "k"})
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
            assert words in answer.json()["detail"]
            assert "idempotency-replayed" not in answer.headers


async def test_a_twin_that_comes_meanwhile_is_told_to_ask_again(project):
    (project / "code.py").write_text("import time\ntime.sleep(0.3)\n" + CODE)
    async with served() as (client, _):
        asked = [client.post("/pipelines/numbers/run", headers={"Idempotency-Key": "k"}) for _ in range(2)]
        answers = sorted(await asyncio.gather(*asked), key=lambda answer: answer.status_code)
        assert [each.status_code for each in answers] == [202, 409]
        assert answers[1].headers["retry-after"] == "1"
        await ended(client, answers[0].json()["run_id"])
