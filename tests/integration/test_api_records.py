"""Gives records to a pipeline over HTTP. The API and the engine run in this process."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from loom.session import Session
from loom_api.running import record_runs
from loom_common.errors import ConfigurationError, DependencyUnavailable
from loom_dev.waiting import patience
from support.served_api import PIPELINE, ended, make_project, rows, served

GIVE = "/pipelines/numbers/records"
LINES = '{"id": "x", "n": 5}\n{"id": "y", "n": \n{"id": "z", "n": 7}\n'
ONE = '{"id": "x", "n": 5}'
MIXED = '{"id": "z", "n": 7}\n{"id": "x", "n": 300}\n{"id": "y", "n": "?"}\n{"id": "w", "n": 1}\n'
SCORED = """
evaluate:
  evaluators: [{name: small, type: range, field: double, max: 99, threshold: 1}]
"""
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the working directory, a project."""
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    return tmp_path


async def test_records_are_loaded_and_what_is_none_is_kept(project):
    (project / "in.csv").unlink()  # the source is not looked at
    async with served() as (client, _):
        answer = await client.post(GIVE, content=LINES, headers={**NDJSON, "Idempotency-Key": "k"})
        assert answer.status_code == 202, answer.text
        run_id = answer.json()["run_id"]
        report = await ended(client, run_id)
        assert (report["records"]["loaded"], report["records"]["quarantined"]) == (2, 1)
        assert rows(project) == {"x": 10, "z": 14}
        again = await client.post(GIVE, content=LINES, headers={**NDJSON, "Idempotency-Key": "k"})
        assert (again.json()["run_id"], again.headers["idempotency-replayed"]) == (run_id, "true")
        other = await client.post(GIVE, content="{}", headers={**NDJSON, "Idempotency-Key": "k"})
        assert other.status_code == 422
        assert len((await client.get("/runs")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", '[{"id": "x", "n": 5}, {"id": "y", "n": 6}]'),
        ("text/csv; charset=utf-8", "id,n\nx,5\ny,6\n"),
    ],
)
async def test_a_run_that_ends_soon_is_answered_with_its_report(project, kind, body):
    async with served() as (client, _):
        answer = await client.post(f"{GIVE}?wait=30s&param=least=2", content=body, headers={"Content-Type": kind})
        document = answer.json()
        assert (answer.status_code, document["status"], document["params"]) == (200, "succeeded", {"least": 2})
        assert rows(project) == {"x": 10, "y": 12}


async def test_few_records_are_answered_with_what_each_of_them_came_to(project):
    (project / "numbers.yaml").write_text(PIPELINE + SCORED)
    async with served() as (client, _):
        answer = await client.post(f"{GIVE}?wait=30s", content=MIXED, headers=NDJSON)
        assert answer.status_code == 200, answer.text
        outputs = answer.json()["outputs"]
        assert [(each["record_id"], each["status"], each["output"]) for each in outputs] == [
            ("z", "loaded", {"double": 14}),
            ("x", "rejected", {"double": 600}),
            ("y", "quarantined", None),
            ("w", "loaded", {"double": 2}),
        ]
        z, x, y, _ = outputs
        assert [(each["evaluator_name"], each["score"], each["passed"]) for each in z["scores"]] == [("small", 1, True)]
        assert (x["stage"], x["code"], x["scores"][0]["passed"]) == ("evaluate", "gate", False)
        assert (y["stage"], y["code"], y["scores"]) == ("transform", "transform_error", [])
        assert "ValueError" in y["reason"]
        again = await client.get(f"/runs/{answer.json()['run_id']}/outputs")
        assert sorted(each["record_id"] for each in again.json()) == ["w", "x", "y", "z"]
        many = "".join(f'{{"id": "{n}", "n": 1}}\n' for n in range(101))
        answer = await client.post(f"{GIVE}?wait=30s", content=many, headers=NDJSON)
        assert (answer.json()["outputs"], answer.json()["records"]["loaded"]) == (None, 101)
        none = await client.get(f"/runs/{answer.json()['run_id']}/outputs")
        assert (none.status_code, "keeps no outputs" in none.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "words"),
    [
        (GIVE, "a,b", "text/plain", 415, "Records come as one of application/json, application/x-ndjson"),
        (GIVE, "7", "application/json", 422, "the body is no JSON array"),
        (GIVE, "[]", "application/json", 400, "The body has no record."),
        (GIVE, "", "text/csv", 400, "The body has no record."),
        (f"{GIVE}?param=x", "[]", "application/json", 400, "param: 'x' is not KEY=VALUE."),
        (f"{GIVE}?param=most=1", '[{"id": "x"}]', "application/json", 422, "most"),
        ("/pipelines/number/records", "[]", "application/json", 404, "Did you mean 'numbers'?"),
        (GIVE, "x" * 301, "text/csv", 413, "The body is larger than 300 bytes."),
    ],
)
async def test_records_that_cannot_be_taken_are_refused(project, path, body, kind, status, words):
    async with served(records_bytes=300) as (client, _):
        answer = await client.post(path, content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert words in answer.json()["detail"]
        assert (await client.get("/runs")).json()["items"] == []


async def test_a_pipeline_with_too_many_runs_takes_no_more_until_one_has_ended(project):
    (project / "code.py").write_text(
        'import time\n\n\ndef doubled(record):\n    time.sleep(1)\n    return {"double": 1}\n'
    )
    async with served(runs_at_once=1) as (client, _):
        first = await client.post(GIVE, content='{"id": "x"}', headers=NDJSON)
        full = await client.post(GIVE, content='{"id": "y"}', headers=NDJSON)
        assert (full.status_code, full.headers["retry-after"]) == (429, "5")
        assert full.json()["detail"] == "As many runs of 'numbers' are under way as may be: 1."
        await ended(client, first.json()["run_id"])
        answers = await asyncio.gather(client.post(GIVE, content='{"id": "y"}', headers=NDJSON))
        assert answers[0].status_code == 202
        await ended(client, answers[0].json()["run_id"])


def known_for(project, window):
    (project / "numbers.yaml").write_text(PIPELINE + f"ingest: {{window: {window}}}\n")


async def test_a_record_that_comes_again_within_the_window_is_named_and_not_processed(project):
    known_for(project, "1h")
    async with served() as (client, _):
        first = await client.post(
            f"{GIVE}?wait=30s", content='{"id": "x", "n": 5}\n{"id": "y", "n": 6}', headers=NDJSON
        )
        run_id = first.json()["run_id"]
        assert (first.json()["duplicates"], first.json()["duplicate_count"]) == ([], 0)
        more = '{"id": "x", "n": 9}\n{"id": "z", "n": 7}\n{"id": "z", "n": 8}'
        second = (await client.post(f"{GIVE}?wait=30s", content=more, headers=NDJSON)).json()
        assert second["duplicates"] == [{"key": "x", "run_id": run_id}, {"key": "z", "run_id": second["run_id"]}]
        assert ([each["record_id"] for each in second["outputs"]], second["records"]["extracted"]) == (["z"], 1)
    async with served() as (client, _):  # a restart forgets nothing
        third = await client.post(GIVE, content=more, headers=NDJSON)
        assert (third.status_code, third.json()["run_id"], third.json()["duplicate_count"]) == (200, None, 3)
        assert {each["run_id"] for each in third.json()["duplicates"]} == {run_id, second["run_id"]}
        assert len((await client.get("/runs")).json()["items"]) == 2
    assert rows(project) == {"x": 10, "y": 12, "z": 14}


async def test_of_requests_that_come_at_once_with_the_same_records_one_has_each_of_them(project, monkeypatch):
    monkeypatch.setattr(record_runs, "_PATIENCE_SECONDS", patience(25))
    known_for(project, "1h")
    bodies = ["abc", "cba", "bcd", "dab", "acd"]
    async with served() as (client, _):
        sent = [
            client.post(
                f"{GIVE}?wait=30s", content="".join(f'{{"id": "{each}", "n": 1}}\n' for each in body), headers=NDJSON
            )
            for body in bodies
        ]
        answers = [each.json() for each in await asyncio.gather(*sent)]
        taken = [each["record_id"] for answer in answers for each in answer.get("outputs", [])]
        assert sorted(taken) == ["a", "b", "c", "d"]
        holders = {each["record_id"]: answer["run_id"] for answer in answers for each in answer.get("outputs", [])}
        for answer in answers:
            assert all(holders[each["key"]] == each["run_id"] for each in answer["duplicates"])
        assert sum(answer["duplicate_count"] for answer in answers) == 15 - 4


async def test_a_request_that_is_refused_leaves_its_records_free(project, monkeypatch):
    known_for(project, "1h")
    async with served() as (client, _):
        with monkeypatch.context() as patched:
            patched.setattr(Session, "start", AsyncMock(side_effect=ConfigurationError("not now")))
            refused = await client.post(GIVE, content=ONE, headers=NDJSON)
            assert (refused.status_code, refused.json()["detail"]) == (400, "not now")
        taken = (await client.post(f"{GIVE}?wait=30s", content=ONE, headers=NDJSON)).json()
        assert (taken["duplicate_count"], taken["records"]["loaded"]) == (0, 1)


async def test_records_of_a_request_that_may_still_be_carried_out_are_not_free(project, monkeypatch):
    known_for(project, "1h")
    monkeypatch.setattr(record_runs, "_PATIENCE_SECONDS", 0.1)
    async with served() as (client, _):
        with monkeypatch.context() as patched:
            patched.setattr(Session, "start", AsyncMock(side_effect=DependencyUnavailable("no answer")))
            assert (await client.post(GIVE, content=ONE, headers=NDJSON)).status_code == 503
        waits = await client.post(GIVE, content=ONE, headers=NDJSON)
        assert (waits.status_code, waits.headers["retry-after"]) == (409, "5")
        assert "the key x is being carried out" in waits.json()["detail"]
