"""Sends the console's forms, in this process, over a state file: what is refused, and what a form may not do."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx
import pytest
from sqlalchemy import event

from support import pages
from support.api import RUN, application

OWN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
LOOKED_UP = ("journal", "quarantined_records", "pipeline_runs", "record_evaluations", "replayed_records")
"""Tables that may hold ten million rows."""


@pytest.fixture
async def client(engine):
    transport = httpx.ASGITransport(
        application(engine, cors_origins=["https://pages.example"]), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_an_alert_is_acknowledged_and_the_next_page_says_so_and_keeps_its_filter(client):
    page = pages.read("http://localhost/alerts", (await client.get("/alerts?pipeline=p")).text)
    [action] = [each.attributes["action"] for each in page.elements if each.attributes.get("method") == "post"]
    answer = await client.post(action, data={"pipeline": "p"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts?pipeline=p&done=acknowledge")
    after = pages.read("http://localhost/alerts", (await client.get(answer.headers["location"])).text)
    assert "The alert is acknowledged." in after.text
    assert not [each for each in after.elements if each.attributes.get("method") == "post"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "https://pages.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_form_of_another_site_does_nothing(client, headers):
    answer = await client.post("/alerts/1/acknowledge", headers={"Content-Type": FORM, **headers})
    assert answer.status_code == 403
    assert "may not command" in answer.text or "forms of the console" in answer.text
    assert sum(each["acknowledged"] for each in (await client.get("/api/v1/alerts")).json()["items"]) == 1


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("path", "data", "status", "words"),
    [
        (f"/runs/{RUN}/resume", {"budget": "-1"}, 400, "The budget '-1' is no amount of US dollars above 0"),
        (f"/runs/{RUN}/resume", {"budget": "nan"}, 400, "The budget 'nan' is no amount"),
        ("/runs/run_9/pause", {"x": ""}, 404, "There is no run run_9"),
        ("/quarantine/retry", {"x": ""}, 400, "No record was chosen."),
        ("/quarantine/retry", {"record": f"{RUN}/nobody"}, 404, f"Run {RUN} kept back no record like this."),
        ("/quarantine/retry", {"all": "true", "run_id": RUN, "stage": "x"}, 400, "does not say which records it means"),
        ("/quarantine/retry", {"record": [f"run_{each}/a" for each in range(30)]}, 400, "are of 30 runs"),
        (f"/runs/{RUN}/records/r1/retry", {"x": ""}, 404, "No record 'r1' of run run_1 is in quarantine."),
        ("/alerts/99/acknowledge", {"x": ""}, 404, "99"),
        (f"/runs/{RUN}/pause", {"x": "\0"}, 400, "NUL"),
    ],
)
async def test_what_cannot_be_done_is_said_on_a_page(client, path, data, status, words):
    answer = await client.post(path, data=data, headers=OWN)
    page = pages.read("http://localhost", answer.text)
    assert (answer.status_code, words in page.text) == (status, True), page.text
    assert "Your browser's way back leads to the form" in page.text
    assert not page.faults()


@pytest.mark.parametrize("content", [b"a=%ff", b"\xff=a", b"&".join([b"a=1"] * 3000)])
async def test_a_form_that_cannot_be_read_is_refused(client, content):
    answer = await client.post(f"/runs/{RUN}/pause", content=content, headers={**OWN, "Content-Type": FORM})
    assert answer.status_code == 400
    assert (await client.post(f"/runs/{RUN}/pause", json={}, headers=OWN)).status_code == 415


async def test_an_address_that_somebody_makes_up_puts_no_words_on_a_page(client):
    for address in (f"/runs/{RUN}?done=Call+0800", "/runs?done=Call+0800", "/alerts?done=Call+0800"):
        answer = await client.get(address)
        assert (answer.status_code, "0800" in answer.text) == (200, False), address


async def test_what_is_known_of_a_record_or_a_run_is_looked_up_by_indexes(engine, client):
    """Over ten million rows, reading a table takes a minute. The tables here are too small to be seen in time."""
    asked: list[tuple[str, object]] = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    paths = (f"/runs/{RUN}/lineage", f"/runs/{RUN}/records/r2", "/quarantine/r2", f"/runs/{RUN}/records")
    for path in paths:
        assert (await client.get(f"/api/v1{path}")).status_code == 200
    assert (await client.get(f"/runs/{RUN}/records/r2")).status_code == 200
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    steps = [(step, each) for each, parameters in asked for step in steps_of(engine, each, parameters)]
    assert len(asked) > 10
    assert not [(step, each) for step, each in steps if step.split()[:2] in [["SCAN", name] for name in LOOKED_UP]]


def steps_of(engine, statement, parameters=()):
    """Return how SQLite would answer a statement."""
    with closing(sqlite3.connect(engine.url.database)) as database:
        return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


async def test_the_calls_for_a_record_are_looked_up_by_an_index(engine):
    query = "SELECT sum(cost) FROM journal WHERE run_id = 'a' AND record_id = 'b' AND purpose != 'noted' GROUP BY model"
    assert steps_of(engine, query)[0] == "SEARCH journal USING INDEX idx_journal_record (run_id=? AND record_id=?)"
