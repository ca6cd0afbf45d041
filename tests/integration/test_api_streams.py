"""Gives records to streams over HTTP. The API and the stream run in this process, as `loom serve` beside `loom run`."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from loom.project.config import LoomConfig
from loom_api import service
from loom_api.settings import ApiSettings
from loom_dev.waiting import within
from support.api import client_of
from support.documents import ROOT
from support.served_api import served
from support.streamed import arrive, ids, ids_loaded, opened, state, streaming, windows

GIVE = "/pipelines/tickets/records"
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
EXTRACT = {"source": "api://tickets", "key": "id"}


def lines(numbers: range, **more: object) -> str:
    return "".join(json.dumps({"id": f"t{each:05}", **more}) + "\n" for each in numbers)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return a project in the working directory, whose stream is given its records over HTTP."""
    monkeypatch.chdir(tmp_path)
    return streaming(tmp_path, extract=EXTRACT)


async def test_what_is_given_before_and_while_a_stream_runs_is_loaded_once(made):
    async with served() as (client, _):
        one = await client.post(GIVE, content='{"id": "t00000"}', headers=JSON)
        assert (one.status_code, len(one.json()["ids"])) == (202, 1), one.text
        async with opened(made) as stream:
            await client.post(GIVE, json=[{"id": "t00001"}, {"id": "t00002"}])
            await client.post(GIVE, content="id\nt00003\n", headers={"Content-Type": "text/csv"})
            given = await client.post(GIVE, content=lines(range(4, 14)), headers=NDJSON)
            assert (given.json()["pipeline"], given.json()["stream"]) == ("tickets", stream.stream)
            await stream.drained()
    assert ids_loaded(made) == ids(range(14))
    assert windows(made) == [(1, "succeeded", 10), (2, "succeeded", 4)]


async def test_a_stream_that_the_api_itself_opens_loads_what_it_is_given(made):
    async with served() as (client, _):
        begun = await client.post("/pipelines/tickets/run")
        assert begun.status_code == 202, begun.text
        await client.post(GIVE, content=lines(range(3)), headers=NDJSON)
        async with within(30, "3 records"):
            while len(ids_loaded(made)) < 3:
                await asyncio.sleep(0.02)
    assert ids_loaded(made) == ids(range(3))


async def test_a_stream_begins_elsewhere_by_the_api_which_says_what_a_place_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = streaming(tmp_path)
    for at, name in enumerate("abc"):
        arrive(made, name, range(3 * at, 3 * at + 3))
    async with served() as (client, _):
        wrong = await client.post("/pipelines/tickets/run", json={"begin_at": "yesterday"})
        assert (wrong.status_code, "the name of a file" in wrong.text) == (400, True), wrong.text
        assert not state(made, "SELECT 1 FROM streams")
        begun = await client.post("/pipelines/tickets/run", json={"begin_at": "b.jsonl"})
        assert begun.status_code == 202, begun.text
        async with within(30, "6 records"):
            while len(ids_loaded(made)) < 6:
                await asyncio.sleep(0.02)
    assert ids_loaded(made) == ids(range(3, 9))


async def test_a_request_that_comes_again_adds_nothing_though_its_answer_was_lost(made):
    async with served() as (client, _), opened(made) as stream:
        first = await client.post(GIVE, content=lines(range(3)), headers={**NDJSON, "Idempotency-Key": "k"})
        await stream.until(lambda: len(ids_loaded(made)) == 3)
        again = await client.post(GIVE, content=lines(range(3)), headers={**NDJSON, "Idempotency-Key": "k"})
        assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
        await asyncio.to_thread(_forget_answer, made)
        lost = await client.post(GIVE, content=lines(range(3)), headers={**NDJSON, "Idempotency-Key": "k"})
        assert lost.json()["ids"] == first.json()["ids"]
        await client.post(GIVE, content=lines(range(3, 5)), headers=NDJSON)
        await stream.drained()
    assert ids_loaded(made) == ids(range(5))
    assert state(made, "SELECT sum(records_processed) FROM pipeline_runs") == [(5,)]


async def test_a_record_whose_key_came_within_the_window_is_named_and_not_processed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = streaming(tmp_path, extract=EXTRACT, ingest="24h")
    async with served() as (client, _):
        first = (await client.post(GIVE, content=lines(range(2)), headers=NDJSON)).json()
        body = '{"id": "t00001", "news": 1}\n{"id": "t00002"}\n{"id": "t00002"}\n'
        second = (await client.post(GIVE, content=body, headers=NDJSON)).json()
        assert second["duplicate_count"] == 2
        assert second["duplicates"] == [
            {"position": 0, "key": "t00001", "id": first["ids"][1]},
            {"position": 2, "key": "t00002", "id": second["ids"][1]},
        ]
        async with opened(made) as stream:
            await stream.drained()
    assert ids_loaded(made) == ids(range(3))


async def test_while_too_many_records_wait_more_are_refused_and_told_when_to_come_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = streaming(tmp_path, extract={**EXTRACT, "options": {"backlog": 5}})
    async with served() as (client, _):
        assert (await client.post(GIVE, content=lines(range(4)), headers=NDJSON)).status_code == 202
        full = await client.post(GIVE, content=lines(range(4, 6)), headers={**NDJSON, "Idempotency-Key": "k"})
        assert (full.status_code, full.headers["retry-after"]) == (429, "1")
        assert "As many records wait to be taken as may: 5." in full.json()["detail"]
        large = await client.post(GIVE, content=lines(range(6)), headers=NDJSON)
        assert (large.status_code, "5 records at most" in large.json()["detail"]) == (413, True)
        async with opened(made) as stream:
            await stream.until(lambda: len(ids_loaded(made)) == 4)
            taken = await client.post(GIVE, content=lines(range(4, 6)), headers={**NDJSON, "Idempotency-Key": "k"})
            assert taken.status_code == 202, taken.text
            await stream.drained()
    assert ids_loaded(made) == ids(range(6))


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "words"),
    [
        (GIVE, '{"id": 1}\n{"id": \n', "application/x-ndjson", 422, "1 record of the request is none, and none of the"),
        (GIVE, "[1, {}, 2]", "application/json", 422, "2 records of the request are none"),
        (GIVE, '{"id": 1', "application/json", 422, "the body column"),
        (GIVE, "7", "application/json", 422, "no JSON array"),
        (GIVE, "[]", "application/json", 400, "The body has no record."),
        (GIVE, "a", "text/plain", 415, "Records come as one of application/json"),
        (f"{GIVE}?wait=1s", "{}", "application/json", 400, "records of a stream are not waited for"),
        (f"{GIVE}?param=a=b", "{}", "application/json", 400, "have no parameters"),
        ("/pipelines/ticket/records", "{}", "application/json", 404, "Did you mean 'tickets'?"),
    ],
)
async def test_a_request_that_cannot_be_taken_says_why_and_nothing_of_it_is(made, path, body, kind, status, words):
    async with served() as (client, _):
        answer = await client.post(path, content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert words in answer.json()["detail"]
        async with opened(made) as stream:
            await stream.drained()
    assert ids_loaded(made) == []


async def test_an_error_names_each_record_that_is_none(made):
    async with served() as (client, _):
        answer = await client.post(GIVE, content='{"id": 1}\nx\n{"id": \n', headers=NDJSON)
        assert ["line 2" in each["message"] for each in answer.json()["errors"]] == [True, False]


async def test_sensitive_fields_wait_encrypted(tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    monkeypatch.chdir(tmp_path)
    made = streaming(tmp_path, extract=EXTRACT, sensitive=["text"])
    made.path("loom.yaml").write_text("encryption: {key: '${KEY}'}\n")
    config = LoomConfig.load(made.path("loom.yaml"))
    async with within(30), service.opened(config, ApiSettings()) as application, client_of(application) as client:
        given = await client.post(GIVE, content=lines(range(2), text="call me later"), headers=NDJSON)
        assert given.status_code == 202, given.text
        held = b"".join(each.read_bytes() for each in made.path(".loom").rglob("*") if each.is_file())
        assert b"call me later" not in held
        async with opened(made) as stream:
            await stream.drained()
    assert ids_loaded(made) == ids(range(2))


async def test_the_example_answers_urgent_tickets_that_are_given_over_http(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples/support_tickets", tmp_path / "tickets")
    monkeypatch.chdir(tmp_path / "tickets")
    give = "/pipelines/support_desk/records"
    async with served() as (client, _):
        begun = await client.post("/pipelines/support_desk/run")
        assert begun.status_code == 202, begun.text
        down = {"ticket": "T-2001", "subject": "Site is down", "text": "Nobody can log in."}
        assert (await client.post(give, json=down)).status_code == 202
        lines = (tmp_path / "tickets/more-tickets.jsonl").read_text()
        await client.post(give, content=lines, headers=NDJSON)
        assert (await client.post(give, json=down)).json()["duplicate_count"] == 1
        async with within(30, "three answers"):
            while len(answers := _answers(tmp_path / "tickets/tickets.db")) < 3:
                await asyncio.sleep(0.02)
    assert answers == {
        "T-2001": "We are looking into 'Site is down' now. Your ticket is T-2001.",
        "T-1004": None,
        "T-1005": "We are looking into 'Payment failed' now. Your ticket is T-1005.",
    }


def _answers(path: Path) -> dict[str, str | None]:
    with closing(sqlite3.connect(path, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'answered'").fetchone():
            return {}
        return dict(database.execute("SELECT ticket, answer FROM answered"))


def _forget_answer(made) -> None:
    """Leave of a request what a process leaves that dies before it answers. It waits for others that write, of
    which one may be in this process: call it in a thread."""
    with closing(sqlite3.connect(made.path(".loom/loom.db"), timeout=20)) as database:
        database.execute("UPDATE idempotency_keys SET status = NULL, taken_at = '2000-01-01 00:00:00'")
        database.commit()
