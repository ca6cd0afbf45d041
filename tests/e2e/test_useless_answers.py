"""Tests a run over an endpoint that answers, but not always with an answer: to the rows, the quarantine and the
books."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loom import Loom
from loom.api import RunResult
from loom_ai.answers.structured_output import TRIES
from support.any_server import AnyServer, Sent, chat
from support.books import assert_balanced
from support.projects import Project, ai, project

RECORDS = 60
MOOD = {"mood": {"enum": ["good", "bad"]}}
GOOD = '{"mood": "good"}'
ODD = "r000007"


@pytest.fixture
def place(request, tmp_path) -> tuple[Path, Path, bool]:
    """Provide a pipeline's folder, the configuration, and whether a cluster carries it out."""
    if request.param == "embedded":
        (tmp_path / "loom.yaml").touch()
        return tmp_path / "p", tmp_path / "loom.yaml", False
    cluster = request.getfixturevalue("cluster")
    return cluster.project / request.node.name.replace("[", "_").strip("]"), cluster.project / "loom.yaml", True


@pytest.fixture
async def server():
    async with AnyServer(lambda _: Sent(chat(GOOD))) as server:
        yield server


everywhere = pytest.mark.parametrize("place", ["embedded", "cluster"], indirect=True)


async def ran(place: tuple[Path, Path, bool], server: AnyServer, **changes) -> tuple[RunResult, Project]:
    folder, loom_yaml, cluster = place
    transform = ai(server.base_url(), prompt="{{ input.id }}", output=MOOD, **changes.pop("transform", {}))
    made = project(folder, RECORDS, destination="out.jsonl", transform=transform, extract={"batch_size": 20}, **changes)
    loom = Loom(loom_yaml)
    return await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=cluster), made


@everywhere
@pytest.mark.parametrize("useless", [Sent({"choices": []}), Sent(b"<html>busy</html>"), Sent(b"null")])
async def test_one_useless_answer_keeps_one_record_back_and_every_call_is_booked(place, server, useless):
    server.respond = lambda body: useless if ODD in str(body["messages"]) else Sent(chat(GOOD))
    result, made = await ran(place, server)
    report = result.report.model_dump()
    assert (report["status"], report["records"]["loaded"], report["records"]["quarantined"]) == ("succeeded", 59, 1)
    assert_balanced(report)
    assert report["calls"]["made"] == server.calls == 59 + TRIES
    assert ODD not in {row["id"] for row in await made.loaded()}


@everywhere
async def test_where_no_answer_is_one_the_run_ends_with_that_sentence(place, server):
    server.respond = lambda _: Sent(b"<html>A proxy's page</html>")
    result, _ = await ran(place, server)
    report = result.report.model_dump()
    assert report["status"] == "failed"
    assert "last 10 different records" in report["error"]
    assert "A proxy's page" in report["error"]
    assert report["calls"]["made"] <= server.calls < RECORDS * TRIES


@everywhere
async def test_the_same_refusal_of_every_record_ends_the_run_with_it(place, server):
    words = "Unsupported parameter: 'seed'"
    server.respond = lambda _: Sent(
        {"error": {"message": words, "param": "seed", "code": "unsupported_parameter"}}, 400
    )
    result, _ = await ran(place, server, transform={"params": {"seed": 7}})
    report = result.report.model_dump()
    assert (report["status"], words in report["error"]) == ("failed", True)
    assert server.calls <= RECORDS


@everywhere
@pytest.mark.parametrize(
    "usage", [None, [], "12", {"prompt_tokens": -5, "completion_tokens": -5}, {"prompt_tokens": 2**70}]
)
async def test_no_usage_is_free_and_none_throws_an_answer_away(place, server, usage):
    server.respond = lambda _: Sent(json.dumps({**chat(GOOD), "usage": usage}).encode())
    result, made = await ran(place, server)
    report = result.report.model_dump()
    assert (report["status"], len(await made.loaded())) == ("succeeded", RECORDS)
    [line] = report["spending"]
    assert (line["made"], line["estimated"]) == (RECORDS, RECORDS)
    assert line["cost"] > 0
