"""Judges records, scores again and compares over HTTP, in this process: routes, pages, what is noted, and who may."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import httpx
import pytest

from loom.project.config import LoomConfig
from loom_api import service
from loom_api.settings import ApiSettings
from loom_dev.waiting import within
from support import pages
from support.served_api import ended, started

PIPELINE = {
    "name": "numbers",
    "extract": {"source": "in.csv", "key": "id"},
    "transform": {"type": "python", "function": "code:made"},
    "evaluate": {"evaluators": [{"type": "python", "name": "sure", "function": "code:sure", "threshold": 0.5}]},
    "load": {"destination": "sqlite:///out.db?table=made", "mode": "upsert", "key": ["id"]},
}
CODE = """
def made(record):
    return {"sure": int(record["n"]) / 10, "note": "<script>alert(1)</script>"}

def sure(output, record):
    return output["sure"]
"""
OWN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def project(tmp_path, monkeypatch, clean_environ):
    """Return the working directory, a project whose records r5 to r9 pass."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.yaml").write_text("".join(f"{name}: {json.dumps(said)}\n" for name, said in PIPELINE.items()))
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "in.csv").write_text("id,n\n" + "".join(f"r{number},{number}\n" for number in range(10)))
    return tmp_path


def loaded(folder) -> set[str]:
    with closing(sqlite3.connect(folder / "out.db")) as database:
        return {row[0] for row in database.execute("SELECT id FROM made")}


def asking(application, base: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=base, headers={"Content-Type": "application/json"})


async def test_records_are_judged_scored_again_and_compared_over_http(project):
    async with (
        within(60),
        service.opened(LoomConfig(), ApiSettings(), print) as application,
        asking(application, "http://localhost/api/v1") as client,
        asking(application, "http://localhost") as people,
    ):
        run_id = await started(client)
        await ended(client, run_id)
        await _label(client, run_id)
        await _pages(people, run_id)
        await _score(client, run_id, project)
        found = (await client.get("/audit")).json()["items"]
        assert [each["action"] for each in reversed(found)][:4] == ["run", "draw", "label", "take label back"]
        assert "hidden words" not in json.dumps(found), "comments may quote contents"


async def _label(client: httpx.AsyncClient, run_id: str) -> None:
    assert (await client.get(f"/runs/{run_id}/labels/next")).status_code == 404
    drawn = (await client.post(f"/runs/{run_id}/labels/sample", json={"count": 10})).json()
    assert (drawn["records"], drawn["sample"]["subject"]) == (10, "sure")
    shown = (await client.get(f"/runs/{run_id}/labels/next")).json()["record"]
    assert (shown["record"]["record_id"], shown["contents"]["output"]["sure"]) == ("r5", 0.5)
    said = {"record_id": "r5", "verdict": "pass", "comment": "hidden words"}
    for replayed in (None, "true"):
        kept = await client.post(f"/runs/{run_id}/labels", json=said, headers={"Idempotency-Key": "one"})
        assert (kept.status_code, kept.headers.get("idempotency-replayed")) == (200, replayed)
    assert kept.json()["stratum"] == "borderline"
    undone = await client.post(f"/runs/{run_id}/labels/undo")
    assert undone.status_code == 200, undone.text
    assert undone.json()["record_id"] == "r5"
    assert (await client.post(f"/runs/{run_id}/labels/undo")).status_code == 404
    assert (await client.post(f"/runs/{run_id}/labels", json={**said, "verdict": "good"})).status_code == 422
    assert (await client.post(f"/runs/{run_id}/labels", json={**said, "record_id": "x"})).status_code == 404
    for number in range(10):
        said = {"record_id": f"r{number}", "verdict": "pass" if number >= 3 else "fail"}
        assert (await client.post(f"/runs/{run_id}/labels", json=said)).status_code == 200
    first = (await client.get(f"/runs/{run_id}/labels?limit=7")).json()
    rest = (await client.get(f"/runs/{run_id}/labels?limit=7&after={first['next']}")).json()
    assert [each["record_id"] for each in first["items"] + rest["items"]] == [f"r{number}" for number in range(10)]
    report = (await client.get(f"/runs/{run_id}/labels/report?goal=recall&target=0.95")).json()
    assert report["subjects"][0]["proposed"]["threshold"] == 0.3
    assert report["subjects"][0]["now"]["recall"]["value"] == pytest.approx(5 / 7)


async def _pages(people: httpx.AsyncClient, run_id: str) -> None:
    address = f"/runs/{run_id}/label"
    form = {"Content-Type": "application/x-www-form-urlencoded", **OWN}
    undone = await people.post(f"{address}/undo", headers=form)
    assert undone.status_code == 303, undone.text
    assert undone.headers["location"] == f"{address}?done=undo"
    page = pages.read(f"http://localhost{address}", (await people.get(address)).text)
    assert "<script>alert(1)</script>" in page.text, "contents are text"
    assert [each.attributes["data-key"] for each in page.elements if "data-key" in each.attributes] == list("pfscu")
    record = next(each for each in page.elements if each.attributes.get("name") == "record").attributes["value"]
    said = {"record": record, "verdict": "pass", "evaluator": "sure"}
    assert (
        await people.post(address, data=said, headers={**form, "Origin": "https://evil.example"})
    ).status_code == 403
    assert (await people.post(address, data={**said, "verdict": "?"}, headers=form)).status_code == 400
    assert (await people.post(address, data=said, headers=form)).status_code == 303
    assert "You have judged or skipped all records" in (await people.get(address)).text
    report = (await people.get(f"/runs/{run_id}/labels?goal=recall&target=0.95")).text
    assert f"/runs/{run_id}/evaluate?threshold%3Asure=0.3" in report
    assert 'value="0.3"' in (await people.get(f"/runs/{run_id}/evaluate?threshold:sure=0.3")).text
    scored = await people.post(f"/runs/{run_id}/evaluate", data={"threshold:sure": "0.4"}, headers=form)
    assert scored.status_code == 303
    assert "1 record that did not pass would pass now; 0 that passed would not." in " ".join(
        pages.read("http://localhost/", (await people.get(scored.headers["location"])).text).text.split()
    )
    parts = (await people.get(f"/compare/outputs?a={run_id}&b={run_id}")).text
    assert "Of 10 records of both runs, 0 outputs differ" in parts


async def _score(client: httpx.AsyncClient, run_id: str, project) -> None:
    passed = {f"r{number}" for number in range(5, 10)}
    asked = {"thresholds": {"sure": 0.7}}
    again = (await client.post(f"/runs/{run_id}/evaluate", json=asked)).json()
    assert (again["fail_now"], again["applied"], loaded(project)) == (2, None, passed)
    assert (await client.post(f"/runs/{run_id}/evaluate", json={"thresholds": {"sur": 1}})).status_code == 422
    for thresholds, rows in (({"sure": 0.7}, passed - {"r5", "r6"}), ({"sure": 0.4}, passed | {"r4"})):
        applied = await client.post(f"/runs/{run_id}/evaluate", json={"thresholds": thresholds, "apply": True})
        assert applied.status_code == 200, applied.text
        assert loaded(project) == rows
    other = await started(client)
    await ended(client, other)
    compared = (await client.get(f"/runs/{run_id}/diff/{other}")).json()
    assert (compared["outputs"]["both"], compared["outputs"]["different"]) == (10, 0)
    assert (await client.get(f"/runs/{run_id}/diff/run_9")).status_code == 404
