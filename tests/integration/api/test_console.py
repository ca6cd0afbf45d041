"""Asks the web console, in this process, for every page over a state file; with contents that try to be markup, too."""

from __future__ import annotations

import datetime as dt
import shutil
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import delete, update

from loom_coordinator.db.tables.outcomes import (
    evaluation_results,
    pipeline_costs,
    record_answers,
    record_evaluations,
    run_calls,
)
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from loom_quarantine.db import store
from support import pages
from support.api import LATEST, RUN, application
from support.quarantined import NOW, kept, message

HOSTILE = "</pre><img src=x onerror=alert(1)>\"'><b id=own>&amp;"
"""Holds what would be an element of its own, wherever it stood as markup."""
WHOLE = ("/runs", "/quarantine", "/pipelines", "/costs", "/lineage", "/compare", "/fleet", "/alerts")


@pytest.fixture
async def engine(filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text("name: p\nversion: '2'\nextract: {source: in.csv}\n")
    engine = open_engine(f"sqlite:///{shutil.copy(filled, tmp_path)}")
    yield engine
    await engine.dispose()


@asynccontextmanager
async def browser(engine, **settings):
    transport = httpx.ASGITransport(application(engine, **settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def client(engine):
    async with browser(engine) as client:
        yield client


async def opened(client, address):
    answer = await client.get(address)
    assert answer.status_code == 200, f"{address}: {pages.read(address, answer.text).text}"
    return pages.read(str(answer.url), answer.text)


async def walked(client):
    """Open every page that a link leads to from the first one, and return them by their paths."""
    found, waiting, seen = {}, ["/", f"/compare?a={RUN}&b=run_2"], set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        if urlsplit(address).path.startswith(("/static/", "/api/")):
            assert (await client.get(address)).status_code == 200, address
            continue
        found[address] = await opened(client, address)
        waiting += [urlsplit(each)._replace(scheme="", netloc="").geturl() for each in found[address].links]
        assert len(found) < 200
    return found


async def test_every_link_leads_to_a_page_without_faults(client):
    found = await walked(client)
    assert {urlsplit(each).path for each in found} >= {*WHOLE, f"/runs/{RUN}", f"/runs/{RUN}/records/r2"}
    assert not [f"{address}: {fault}" for address, page in found.items() for fault in page.faults()]
    for address, page in found.items():
        if any(each.tag == "html" for each in page.elements):
            assert sum(each.tag == "h1" for each in page.elements) == 1, address


async def test_what_cost_nothing_has_no_plot_and_no_empty_tables(engine, client):
    assert "By model" in (await opened(client, "/costs")).text
    async with engine.begin() as connection:
        await connection.execute(
            update(pipeline_costs).values(total_cost=0, cost_by_stage={}, cost_by_model={}, cost_by_purpose={})
        )
        await connection.execute(delete(run_calls))
        await connection.execute(update(pipeline_runs).values(budget=None))
    page = await opened(client, "/costs")
    assert "By day" in page.text
    assert not [words for words in ("By model", "By stage", "By purpose", "up to") if words in page.text]


async def test_contents_of_records_are_never_markup(engine, client):
    async with engine.begin() as connection:
        await connection.execute(
            update(record_evaluations).values(
                record_id=record_evaluations.c.record_id + HOSTILE,
                explanation=HOSTILE,
                interactions=[{"prompt": HOSTILE, "response": HOSTILE}],
                evaluator_name=HOSTILE,
            )
        )
        await connection.execute(update(evaluation_results).values(evaluator_name=HOSTILE))
        await connection.execute(
            update(record_answers).values(record_id=record_answers.c.record_id + HOSTILE, answered_by=HOSTILE)
        )
        await connection.execute(
            update(pipeline_runs).values(
                definition={"name": HOSTILE, "evaluate": {HOSTILE: HOSTILE}},
                params={HOSTILE: HOSTILE},
                notice=HOSTILE,
                model=HOSTILE,
                error_message=HOSTILE,
                requested_by=HOSTILE,
                prompt_version=HOSTILE,
                destination=HOSTILE,
            )
        )
        await connection.execute(update(pipelines).values(description=HOSTILE))
    record = kept(HOSTILE, input={HOSTILE: HOSTILE}, output={HOSTILE: HOSTILE}, reason=HOSTILE, scores={HOSTILE: 0.5})
    await store.keep(engine, message(record, run_id=RUN), NOW)
    found = await walked(client)
    assert len(found) > 25
    for address, page in found.items():
        assert not page.faults(), address
        assert not [each for each in page.elements if each.tag in ("img", "b") and each.attributes], address
    shown = "".join(page.text for page in found.values())
    assert shown.count("<img src=x onerror=alert(1)>") > 30


@pytest.mark.parametrize("path", ["/", "/runs/nobody", "/quarantine"])
async def test_a_page_may_load_nothing_but_what_the_console_serves(client, path):
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"


async def test_a_page_that_has_not_changed_keeps_its_policy(client):
    """A browser takes the headers of such an answer in the place of those that it has."""
    first = await client.get("/lineage")
    again = await client.get("/lineage", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


async def test_runs_are_listed_in_pages_and_filtered(engine, client):
    async with engine.begin() as connection:
        rows = (await connection.execute(pipeline_runs.select().limit(1))).mappings().all()
        for number in range(60):
            await connection.execute(pipeline_runs.insert().values({**rows[0], "run_id": f"run_x{number:02}"}))
    first = await opened(client, "/runs?pipeline=p&status=running")
    [following] = [each for each in first.links if "after=" in each]
    second = await opened(client, following)
    listed = [
        name for name in (f"run_x{number:02}" for number in range(60)) if name in first.text or name in second.text
    ]
    assert len(listed) == 60
    assert "run_2" not in first.text.split("All runs")[1]
    failed = await opened(client, "/runs?status=failed&pipeline=")
    assert "run_2" in failed.text
    assert "run_x01" not in failed.text


async def test_a_run_under_way_tells_how_it_goes_and_asks_again(client):
    page = await opened(client, f"/runs/{RUN}")
    assert "1 batch at evaluate." in page.text
    again = await opened(client, f"/live/runs/{RUN}")
    assert [each.attributes["hx-trigger"] for each in again.elements if "hx-trigger" in each.attributes] == ["every 2s"]
    ended = await opened(client, "/live/runs/run_2")
    assert not [each for each in ended.elements if "hx-trigger" in each.attributes]


async def test_a_run_that_has_ended_has_no_deadline_any_more(engine, client):
    async with engine.begin() as connection:
        await connection.execute(update(pipeline_runs).values(deadline=dt.datetime(2036, 1, 1, tzinfo=dt.UTC)))
    shown = ["Deadline" in (await opened(client, f"/runs/{run_id}")).text for run_id in (RUN, "run_2")]
    assert shown == [True, False]


async def test_a_run_that_ended_without_a_score_does_not_seem_to_wait_for_one(client):
    assert "No record was scored." in (await client.get("/runs/run_2/scores")).text
    assert "No record has been scored yet." in (await client.get(f"/runs/{LATEST}/scores")).text


async def test_the_scores_of_a_run_are_plotted_with_their_threshold(client):
    page = await opened(client, f"/runs/{RUN}/scores")
    assert "At 1.00, 1 of 3 records would pass (33.3%)." in page.text
    [slider] = [each.attributes for each in page.elements if each.tag == "input"]
    assert (slider["value"], slider["aria-label"]) == ("1.0", "Threshold of exact")


async def test_a_record_that_was_kept_back_is_shown_with_why(client):
    page = await opened(client, f"/runs/{RUN}/records/r2")
    assert "rejected at evaluate: No evaluators passed threshold" in page.text
    assert '"n": 1.5' in page.text
    assert "waits in quarantine" in page.text


async def test_the_quarantine_is_filtered(client):
    assert "r2" in (await opened(client, "/quarantine?evaluator=exact&max_score=0.5&min_score=")).text
    none = await opened(client, "/quarantine?stage=load")
    assert "No record that was kept back is like this." in none.text
    answer = await client.get("/quarantine?min_score=0.5")
    assert answer.status_code == 400
    assert "A score needs an evaluator" in answer.text


async def test_secrets_in_a_definition_are_not_shown(engine, client):
    definition = {"extract": {"source": "postgres://me:pa55w0rd@db/x"}, "monitoring": {"alerts": {"webhook": "h00k"}}}
    async with engine.begin() as connection:
        await connection.execute(update(pipeline_runs).values(definition=definition, destination="s3://k:pa55w0rd@b"))
    found = await walked(client)
    text = "".join(page.text for page in found.values())
    assert "postgres://db/x" in text
    assert not [secret for secret in ("pa55w0rd", "h00k", "T0K3N") if secret in text]


async def test_errors_are_pages_for_people_and_problems_for_programs(client):
    for path in ("/runs/run_9", "/nothing", "/runs?after=nonsense", "/pipelines/pp", "/runs?status=lost"):
        answer = await client.get(path)
        assert answer.status_code >= 400
        assert answer.headers["content-type"].startswith("text/html")
    assert "There is no run run_9 here." in (await client.get("/runs/run_9")).text
    same = await client.get("/api/v1/runs/run_9")
    assert same.headers["content-type"] == "application/problem+json"
    assert (await client.post("/api/v1/runs/run_9")).status_code == 405


async def test_without_runs_every_page_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = open_engine(f"sqlite:///{tmp_path}/empty.db")
    try:
        await upgrade(engine)
        async with browser(engine) as client:
            for path in WHOLE:
                page = await opened(client, path)
                assert [each for each in page.elements if each.attributes.get("class") == "empty"], path
            assert "make demo" in (await opened(client, "/")).text
    finally:
        await engine.dispose()
