"""Asks the API, in this process, for what it cannot answer, and looks at how it answers: tags, headers, limits."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import structlog

from loom_coordinator.db.tables.runs import pipeline_runs
from loom_dev.waiting import within
from support.api import RUN, application, client_of, json_of


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/pipelines/pp", "There is no pipeline named 'pp'. Did you mean 'p'?"),
        ("/runs/run_9", "There is no run run_9 here."),
        ("/runs/run_9/metrics", "There is no run run_9 here."),
        ("/runs/run_9/batches", "There is no run run_9 here."),
        ("/runs/run_2/lineage", "The lineage of run run_2 is not written yet."),
        ("/runs/run_1/records/nobody", "Nothing is known of a record 'nobody' in run run_1"),
        ("/quarantine/nobody", "No record 'nobody' is in quarantine."),
        ("/fleet", "There is no cluster here"),
        ("/dead-letters", "There is no cluster here"),
        ("/nothing", "There is nothing at /api/v1/nothing."),
    ],
)
async def test_what_is_not_there_is_told_in_the_words_of_the_command_line(client, path, words):
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"].startswith(words)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/runs?limit=0", 422, "limit: "),
        ("/runs?status=lost", 422, "status.0: "),
        ("/runs?after=nonsense", 400, "`after` is not what a page gave"),
        (f"/runs/{RUN}/batches?after=WyJhIl0", 400, "`after` is not what a page gave"),
        ("/alerts?after=Wy0xXQ", 400, "`after` is not what a page gave"),
        ("/runs?since=0001-01-01T00:00:00%2B10:00", 400, "is no time in UTC"),
        ("/quarantine?min_score=0.5", 400, "A score needs an evaluator"),
        (f"/quarantine?run_id={RUN}&pipeline=q", 400, f"Run {RUN} is one of 'p'"),
        ("/runs/a%00b", 400, "NUL"),
    ],
)
async def test_a_request_that_cannot_be_carried_out_is_told_why(client, path, status, words):
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


async def test_the_contents_of_records_are_data(client):
    """A record's id may hold what a path is made of."""
    answer = await client.get(f"/runs/{RUN}/records/{quote('<b>/../x', safe='')}")
    assert answer.json()["detail"].startswith("Nothing is known of a record '<b>/../x'")


async def test_an_answer_that_has_not_changed_is_not_sent_again(client):
    first = await client.get(f"/runs/{RUN}")
    tag = first.headers["etag"]
    again = await client.get(f"/runs/{RUN}", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await client.get(f"/runs/{RUN}", headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/runs",
        "/pipelines",
        "/runs/run_1",
        "/quarantine",
        "/audit",
        "/openapi.json",
        "/runs/run_9",
        "/runs/run_2/events",
    ],
)
async def test_what_is_answered_to_get_is_answered_to_head_without_its_body(client, path):
    async with within(20):
        got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length", "etag", "content-security-policy"):
        assert head.headers.get(name) == got.headers.get(name), name


async def test_the_head_of_a_stream_does_not_wait_for_its_end(engine, client):
    async with within(20):
        head = await client.head("/runs/run_3/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")


async def test_an_answer_that_changed_has_another_tag(engine, client):
    first = (await client.get("/runs/run_2")).headers["etag"]
    async with engine.begin() as connection:
        await connection.execute(pipeline_runs.update().where(pipeline_runs.c.run_id == "run_2").values(notice="waits"))
    again = await client.get("/runs/run_2", headers={"If-None-Match": first})
    assert (again.status_code, again.json()["notice"]) == (200, "waits")


async def test_every_answer_tells_browsers_what_not_to_do(client):
    for path in ("/runs", "/nothing"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "access-control-allow-origin" not in headers


async def test_a_page_of_another_site_cannot_ask_by_a_name_of_its_own(engine, client):
    async with client_of(application(engine), "evil.example") as other:
        assert (await other.get("/runs")).status_code == 421
    async with client_of(application(engine, behind_proxy=True), "loom.example") as proxied:
        assert (await proxied.get("/runs")).status_code == 200


async def test_pages_that_are_named_may_read_answers(engine, client):
    origin = {"Origin": "https://pages.example"}
    async with client_of(application(engine, cors_origins=("https://pages.example",))) as shared:
        answer = await shared.get("/runs", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://pages.example"


async def test_a_body_that_is_too_large_is_refused(engine, client):
    async with client_of(application(engine, body_bytes=10)) as limited:
        answer = await limited.request("GET", "/runs", content=b"x" * 11)
    assert (answer.status_code, answer.json()["title"]) == (413, "Request Entity Too Large")


async def test_a_body_without_a_length_is_refused_where_it_turns_out_too_large(engine):
    async def pieces():
        yield b'{"definition": "'
        yield b"x" * 100

    async with client_of(application(engine, body_bytes=50)) as limited:
        answer = await limited.post("/validate", content=pieces(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (413, "The body is larger than 50 bytes.")


async def test_a_client_that_asks_too_often_is_told_when_to_ask_again(engine):
    async with client_of(application(engine, requests_per_minute=2)) as eager:
        answers = [await eager.get("/runs") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://localhost@evil.example", 403),
        ("http://localhost", 200),
        ("https://pages.example", 200),
    ],
)
async def test_pages_of_other_sites_may_not_command(engine, origin, status):
    async with client_of(application(engine, cors_origins=("https://pages.example",))) as shared:
        answer = await shared.post("/alerts/1/acknowledge", headers={"Origin": origin})
    assert answer.status_code == status, answer.text


async def test_who_has_seen_an_alert_first_stays_noted(client):
    first = (await client.post("/alerts/1/acknowledge")).json()
    assert (first["acknowledged"], first["subject"]) == (True, "exact")
    assert (await client.post("/alerts/1/acknowledge")).json() == first
    assert (await json_of(client, "/alerts", acknowledged=False))["items"] == []


async def test_a_state_database_that_cannot_be_asked_is_told_with_when_to_ask_again(engine, client, monkeypatch):
    def away():
        raise ConnectionRefusedError

    monkeypatch.setattr(engine, "connect", away)
    answer = await client.get("/runs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"].startswith("The state database is away")


async def test_a_defect_is_told_without_its_words(engine, client, monkeypatch):
    def broken():
        raise ValueError("secret")

    monkeypatch.setattr(engine, "connect", broken)
    with structlog.testing.capture_logs() as logged:
        answer = await client.get("/runs")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert [str(each["exc_info"]) for each in logged] == ["secret"]
