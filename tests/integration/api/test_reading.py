"""Asks the API, in this process, for all that it shows of a state file."""

from __future__ import annotations

import pytest

from loom_coordinator.db.tables.runs import pipeline_runs
from support.api import KEPT, LATEST, RUN, SCORED, json_of, pages_of
from support.run_rows import run_columns

STORY = {"record_id", "run_id", "reason", "input", "scores", "calls", "replays"}


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
