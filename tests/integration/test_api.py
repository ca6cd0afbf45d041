"""Asks the API, in this process, over a state file; and whether it answers from Postgres as from SQLite."""

from __future__ import annotations

import asyncio
import shutil
from urllib.parse import quote

import jsonschema
import pytest
import structlog

from loom_coordinator.db.tables.runs import pipeline_runs
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from support.api import KEPT, LATEST, RUN, SCORED, application, client_of, fill, fill_file
from support.migrated import migrated_database
from support.run_rows import run_columns

STORY = {"record_id", "run_id", "reason", "input", "scores", "calls", "replays"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a state file with all that the API shows. Tests work on copies."""
    path = tmp_path_factory.mktemp("state") / "loom.db"
    asyncio.run(fill_file(path))
    return path


@pytest.fixture
async def engine(filled, project):
    engine = open_engine(f"sqlite:///{shutil.copy(filled, project)}")
    yield engine
    await engine.dispose()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the working directory, a project with one pipeline."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text("name: p\nversion: '2'\nextract: {source: in.csv}\n")
    return tmp_path


@pytest.fixture
async def client(engine):
    async with client_of(application(engine)) as client:
        yield client


async def json_of(client, path, **query):
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def pages_of(client, path, **query):
    """Return the items of each page, from the first to the last."""
    pages, after = [], {}
    while True:
        document = await json_of(client, path, **query, **after)
        pages.append(document["items"])
        if document["next"] is None:
            return pages
        after = {"after": document["next"]}


async def test_pipelines_are_those_of_the_folder_and_those_that_ran(client):
    [line] = await json_of(client, "/pipelines")
    assert (line["name"], line["version"], line["file"]) == ("p", "2", "p.yaml")
    assert line["last_run"] == LATEST


async def test_a_pipeline_is_shown_with_the_versions_that_ran(client):
    document = await json_of(client, "/pipelines/p")
    assert document["versions"] == await json_of(client, "/pipelines/p/versions")
    assert [(each["version"], each["runs"]) for each in document["versions"]] == [("1", 3)]


async def test_runs_are_listed_in_pages_the_newest_first(client):
    pages = await pages_of(client, "/runs", limit=2)
    assert [[run["run_id"] for run in page] for page in pages] == [[LATEST, "run_2"], [RUN]]


async def test_runs_that_began_together_are_listed_once_each(engine, client):
    async with engine.begin() as connection:
        for number in range(5):
            await connection.execute(pipeline_runs.insert().values(**run_columns(run_id=f"run_b{number}")))
    pages = await pages_of(client, "/runs", limit=2)
    found = [run["run_id"] for page in pages for run in page]
    assert sorted(found) == sorted([RUN, "run_2", LATEST, *(f"run_b{number}" for number in range(5))])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "failed"}, ["run_2"]),
        ({"status": "interrupted"}, [LATEST]),
        ({"status": "running"}, [RUN]),
        ({"status": ["failed", "interrupted"]}, [LATEST, "run_2"]),
        ({"since": "2026-01-02T04:04:05Z"}, [LATEST, "run_2"]),
        ({"until": "2026-01-02T05:04:05+01:00"}, [RUN]),
        ({"pipeline": "p", "status": "failed"}, ["run_2"]),
        ({"pipeline": "q"}, []),
    ],
)
async def test_runs_are_filtered(client, query, found):
    assert [run["run_id"] for run in (await json_of(client, "/runs", **query))["items"]] == found


async def test_a_run_is_shown_as_the_command_line_shows_it(client):
    document = await json_of(client, f"/runs/{RUN}")
    assert (document["run_id"], document["status"], document["params"]) == (RUN, "running", {"day": "2026-01-01"})
    assert document["records"]["loaded"] == 4
    assert await json_of(client, f"/runs/{RUN}/evaluations") == document["evaluation"]


async def test_the_metrics_of_a_run_tell_how_far_it_is(client):
    document = await json_of(client, f"/runs/{RUN}/metrics")
    assert document["batches"] == {"done": 2, "in_flight": 1}
    assert [each["stage"] for each in document["stages"]] == ["extract", "transform", "evaluate", "load"]


async def test_the_lineage_of_a_run_names_its_source(client):
    document = await json_of(client, f"/runs/{RUN}/lineage")
    assert (document["input_source"], document["output_record_count"]) == ("in.csv", 4)


async def test_batches_are_listed_in_pages_in_the_order_of_the_source(client):
    pages = await pages_of(client, f"/runs/{RUN}/batches", limit=2)
    assert [[batch["position"] for batch in page] for page in pages] == [[0, 1], [2]]


async def test_records_are_listed_in_pages_with_their_scores(client):
    pages = await pages_of(client, f"/runs/{RUN}/records", limit=2)
    assert [[each["record_id"] for each in page] for page in pages] == [list(SCORED[:2]), [SCORED[2]]]
    assert pages[0][0]["scores"][0]["score"] == 1.0


async def test_a_record_of_a_run_has_its_scores_and_why_it_was_kept_back(client):
    loaded = await json_of(client, f"/runs/{RUN}/records/r1")
    assert (loaded["kept"], loaded["answered_by"]) == (None, {"tier": "cheap", "name": "gpt-4o-mini"})
    document = await json_of(client, f"/runs/{RUN}/records/r2")
    assert document["kept"]["answered_by"] == document["answered_by"] == {"tier": "dear", "name": "gpt-4o"}
    assert document["kept"]["reason"] == "No evaluators passed threshold"
    assert document["scores"] == document["kept"]["scores"]


async def test_kept_records_are_listed_in_pages_the_newest_first(client):
    pages = await pages_of(client, "/quarantine", limit=1, run_id=RUN)
    assert [[record["record_id"] for record in page] for page in pages] == [[each] for each in reversed(KEPT)]


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"reason": "gate"}, 2),
        ({"stage": "load"}, 0),
        ({"evaluator": "exact", "max_score": 0.5}, 2),
        ({"unresolved": True}, 2),
    ],
)
async def test_kept_records_are_filtered(client, query, number):
    assert len((await json_of(client, "/quarantine", **query))["items"]) == number


async def test_a_kept_record_has_its_whole_story(client):
    assert (await json_of(client, "/quarantine/r2")).keys() >= STORY
    [count] = await json_of(client, "/quarantine-stats", pipeline="p")
    assert (count["code"], count["unresolved"]) == ("gate", 2)


async def test_costs_are_added_up_by_stage_model_and_purpose(client):
    document = await json_of(client, "/costs", by="month")
    [span] = document["spans"]
    assert span["cost_by_model"] == {"m": 0.5}
    assert document["total"]["cost"] == 0.5


async def test_alerts_are_listed_without_the_address_they_are_sent_to(client):
    answer = await client.get("/alerts", params={"acknowledged": False})
    assert [each["subject"] for each in answer.json()["items"]] == ["exact"]
    assert "T0K3N" not in (await client.get("/alerts")).text
    assert [len(page) for page in await pages_of(client, "/alerts", limit=1)] == [1, 1]


async def test_the_manifest_holds_whole_runs(client):
    document = await json_of(client, "/manifest", status="interrupted")
    assert [run["run_id"] for run in document] == [LATEST]


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


READ = (
    "/pipelines",
    "/pipelines/p",
    "/runs",
    "/runs?status=interrupted&since=2026-01-01T00:00:00Z",
    "/runs?limit=1",
    f"/runs/{RUN}",
    f"/runs/{RUN}/lineage",
    f"/runs/{RUN}/batches?limit=2",
    f"/runs/{RUN}/records?limit=2",
    f"/runs/{RUN}/records/r2",
    "/manifest",
    "/quarantine?evaluator=exact&max_score=0.5",
    "/quarantine/r2",
    "/quarantine-stats",
    "/costs?by=week",
    "/alerts",
    "/prefetch",
    "/runs/run_9",
)


async def test_postgres_answers_as_sqlite_does(client, postgres):
    async def answers(asked):
        found = {path: (await asked.get(path)).json() for path in READ}
        found["next runs"] = (await asked.get("/runs", params={"after": found["/runs?limit=1"]["next"]})).json()
        batches = f"/runs/{RUN}/batches"
        found["next batches"] = (await asked.get(batches, params={"after": found[f"{batches}?limit=2"]["next"]})).json()
        return found

    async with migrated_database(postgres) as url:
        engine = open_engine(url)
        try:
            await fill(engine)
            async with client_of(application(engine)) as other:
                assert await answers(other) == await answers(client)
                assert (await other.get(f"/runs/{RUN}/metrics")).json()["batches"] == {"done": 2, "in_flight": 1}
        finally:
            await engine.dispose()


ROUTES = {
    "/pipelines": "/pipelines",
    "/pipelines/{name}": "/pipelines/p",
    "/pipelines/{name}/versions": "/pipelines/p/versions",
    "/pipelines/{name}/metrics": "/pipelines/p/metrics",
    "/pipelines/{name}/prompts": "/pipelines/p/prompts",
    "/pipelines/{name}/prompts/{version}": "/pipelines/p/prompts/aaaa",
    "/pipelines/{name}/prompts/{version}/diff/{other}": "/pipelines/p/prompts/aaaa/diff/bbbb",
    "/pipelines/{name}/contexts": "/pipelines/p/contexts",
    "/pipelines/{name}/contexts/{version}": "/pipelines/p/contexts/aaaa",
    "/pipelines/{name}/contexts/{version}/diff/{other}": "/pipelines/p/contexts/aaaa/diff/bbbb",
    "/runs": "/runs",
    "/runs/{run_id}": f"/runs/{RUN}",
    "/runs/{run_id}/metrics": f"/runs/{RUN}/metrics",
    "/runs/{run_id}/lineage": f"/runs/{RUN}/lineage",
    "/runs/{run_id}/evaluations": f"/runs/{RUN}/evaluations",
    "/runs/{run_id}/batches": f"/runs/{RUN}/batches",
    "/runs/{run_id}/records": f"/runs/{RUN}/records",
    "/runs/{run_id}/records/{record_id}": f"/runs/{RUN}/records/r2",
    "/manifest": "/manifest",
    "/quarantine": "/quarantine",
    "/quarantine-stats": "/quarantine-stats",
    "/quarantine/{record_id}": "/quarantine/r2",
    "/costs": "/costs",
    "/alerts": "/alerts",
    "/connectors": "/connectors",
    "/plugins": "/plugins",
}
"""Holds the routes that answer without a cluster -> a path of each that finds something."""


async def test_texts_that_a_pipeline_asks_by_are_shown_and_compared_by_version(client):
    lines = ["--- aaaaaaaaaaaa", "+++ bbbbbbbbbbbb", "@@ -1,2 +1,2 @@", " Good or bad?", "-Version 0", "+Version 1"]
    for kind in ("prompts", "contexts"):
        found = await json_of(client, f"/pipelines/p/{kind}")
        assert [each["content"][-1] for each in found] == ["1", "0"]
        compared = await json_of(client, f"/pipelines/p/{kind}/aaaa/diff/bbbbbb")
        assert compared == {"before": "a" * 12, "after": "b" * 12, "lines": lines}
        for path in (f"/pipelines/p/{kind}/cc", f"/pipelines/q/{kind}", f"/pipelines/q/{kind}/aaaa"):
            assert (await client.get(path)).status_code == 404, path
    of_file = "/pipelines/p/contexts/aaaa"
    found = await client.get(of_file, params={"path": "context/words.md"})
    assert (found.status_code, found.json()["path"]) == (200, "context/words.md")
    other = await client.get(of_file, params={"path": "other.md"})
    assert (other.status_code, "of the context file other.md" in other.json()["detail"]) == (404, True)


async def test_what_the_runs_of_a_pipeline_come_to_is_what_the_command_prints(client):
    found = await json_of(client, "/pipelines/p/metrics")
    assert (found["runs"], found["statuses"]["failed"]) == ([LATEST, "run_2", RUN], 1)
    assert (await json_of(client, "/pipelines/p/metrics", run_id=RUN))["runs"] == [RUN]
    assert (await json_of(client, "/pipelines/p/metrics", last=2))["runs"] == [LATEST, "run_2"]
    none = await client.get("/pipelines/p/metrics?run_id=run_9")
    assert (none.status_code, none.json()["detail"][:34]) == (404, "No run run_9 of 'p' is known here.")
    assert (await client.get("/pipelines/q/metrics")).status_code == 404


async def test_what_is_found_has_the_fields_that_the_document_declares_and_no_others(client):
    """Fuzzed requests name runs and records that there are not, so that their answers are errors."""
    document = await json_of(client, "/openapi.json")
    for route, path in ROUTES.items():
        content = document["paths"][f"/api/v1{route}"]["get"]["responses"]["200"]["content"]
        declared = closed({**content["application/json"]["schema"], "components": document["components"]})
        found = await json_of(client, path)
        assert found, path
        mistakes = list(jsonschema.Draft202012Validator(declared).iter_errors(found))
        assert not mistakes, f"{path}: {mistakes[0].json_path}: {mistakes[0].message}"


def closed(schema):
    """Return a schema whose objects have all the fields that it names, and no others."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        inner |= {"additionalProperties": False, "required": list(schema["properties"])}
    return inner
