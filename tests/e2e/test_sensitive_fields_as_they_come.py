"""Plants values in sensitive fields of records that come over HTTP, from an API and out of a queue: what a run has not
read from a file is written nowhere in clear either, neither while the run goes on nor after it."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from support import rest_server
from support.planted import CUT, KEY, PEOPLE, holding, loaded, make_project
from support.queues import message, queues_at
from support.served_api import served

NDJSON = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "once"}
GIVE = "/pipelines/people/records?wait=30s"


@pytest.fixture
def folder(tmp_path, monkeypatch, clean_environ, caplog) -> Path:
    """Provide the working directory, where the key is known and all that is logged is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOM_ENCRYPTION_KEY", KEY)
    caplog.set_level(logging.INFO)
    return tmp_path


async def test_records_given_over_http_are_in_the_destination_alone(folder, caplog, capfd):
    make_project(folder, "none.jsonl", key="id")
    body = "\n".join([*map(json.dumps, PEOPLE), CUT]) + "\n"
    said: list[str] = []
    async with served() as (client, _):
        given = await client.post(GIVE, content=body, headers=NDJSON)
        assert given.status_code == 200, given.text
        report = given.json()
        counts = [report["records"][each] for each in ("loaded", "rejected", "quarantined")]
        assert counts == [1, 1, 2], report
        assert {each["record_id"]: each["status"] for each in report["outputs"]}["a"] == "loaded"
        again = await client.post(GIVE, content=body, headers=NDJSON)
        assert again.headers["idempotency-replayed"] == "true"
        said += [given.text, again.text]
        run_id = report["run_id"]
        for path in (
            f"/runs/{run_id}", f"/runs/{run_id}/outputs", f"/runs/{run_id}/records/a", f"/runs/{run_id}/batches",
            f"/quarantine?run_id={run_id}", "/quarantine/b", "/quarantine/c", "/audit", "/manifest",
            f"http://localhost/runs/{run_id}", f"http://localhost/runs/{run_id}/records/c",
            "http://localhost/quarantine",
        ):  # fmt: skip
            seen = await client.get(path)
            assert seen.status_code == 200, (path, seen.text)
            said.append(seen.text)
        assert any("no address: ***" in each for each in said)
    assert loaded(folder) == [PEOPLE[0]["email"]]
    assert holding(folder, [*said, *capfd.readouterr()], caplog.text) == set()


def test_records_of_an_api_are_in_the_destination_alone(folder, loom, caplog):
    """The API gives them in pages, fails once, and one of its records has no key."""
    api = rest_server.Api([*PEOPLE, {"email": "nobody.pl4nted@example.org"}], size=2)
    api.faults.append(rest_server.Fault(status=503))
    options = {"records": "data.items", "pagination": {"type": "cursor", "cursor_path": "meta.next"}}
    with rest_server.serving(api):
        make_project(folder, f"{api.location}/cursor", key="id", options=options)
        assert holding_after_a_run(folder, loom, caplog) == set()


def test_messages_of_a_queue_are_in_the_destination_alone(folder, loom, caplog, amqp_url, monkeypatch):
    monkeypatch.setenv("BROKER", amqp_url)
    make_project(folder, "${BROKER}?queue=people", key="id")

    async def put() -> None:
        async with queues_at(amqp_url) as queues:
            await queues.declare("people")
            await queues.put("people", *(message(each, each["id"]) for each in PEOPLE), message(CUT.encode(), "cut"))

    asyncio.run(put())
    assert holding_after_a_run(folder, loom, caplog) == set()


def holding_after_a_run(folder: Path, loom: Any, caplog: pytest.LogCaptureFixture) -> set[str]:
    """Run the pipeline, look at what it kept back, and return what holds a planted value."""
    said: list[str] = []

    def typed(*arguments: str) -> Any:
        ended = loom(*arguments)
        said.extend((ended.out, ended.err))
        return ended

    typed("validate", "people.yaml")
    ended = typed("run", "people.yaml", "--verbose", "--format", "json")
    report = json.loads(ended.out)
    assert "records" in report, report
    counts = [report["records"][each] for each in ("loaded", "rejected", "quarantined")]
    assert counts == [1, 1, 2], (report, ended.err)
    kept = typed("quarantine", "list", "--run-id", report["run_id"], "--format", "json")
    assert "no address: ***" in kept.out
    typed("quarantine", "show", "c", "--run-id", report["run_id"])
    typed("quarantine", "export", "-", "--run-id", report["run_id"])
    assert loaded(folder) == [PEOPLE[0]["email"]]
    return holding(folder, said, caplog.text)
