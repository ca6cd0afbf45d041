"""Who pays for model calls killed with SIGKILL in the middle of a run: what it had in flight is all that is paid again.

A call is in flight from when it reaches the endpoint until its answer is in the journal. Both are counted there: an
answer on its way to a process that is no more is as lost to it as one that was never given."""

from __future__ import annotations

import asyncio

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_ai.stores.beside_journal import open_journal
from loom_dev.waiting import within
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.cluster import MODEL_CALLS_AT_ONCE, Cluster
from support.length import LONG
from support.places import spent
from support.projects import ai, ids, project, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 400 if LONG else 120
MODELS = {"transformer": "gpt-4o-mini", "evaluator": "gpt-4o"}
STRUCK = [(service, share) for service in MODELS for share in (0.25, 0.5, 0.75)]
SHORT = [("transformer", 0.75), ("evaluator", 0.25)]


@pytest.fixture
async def judge():
    """Provide the evaluators' endpoint, so that their calls stand apart."""
    async with SimulatedModel(latency=0.05) as server:
        yield server


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("service", "share"), STRUCK if LONG else SHORT)
async def test_what_was_in_flight_is_all_that_is_paid_again_after_a_killed(service, share, cluster, model, judge):
    name = f"payer_{service}_{share * 100:.0f}"
    semantic = {"type": "semantic", "field": "mood", "reference_field": "review", "threshold": 0.4}
    made = project(
        cluster.project / name,
        RECORDS,
        name=name,
        transform=ai(model.base_url),
        evaluate={"model": MODELS["evaluator"], "base_url": judge.base_url, "evaluators": [semantic]},
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 10},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    servers = {"transformer": model, "evaluator": judge}
    struck = servers[service]
    before = {each: await journalled(cluster, MODELS[each]) for each in MODELS}

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(120):
            while struck.calls < share * RECORDS:
                await asyncio.sleep(0.005)
        cluster.kill(service)
        unanswered = struck.at_once
        await answered(struck)
        in_flight = struck.calls - (await journalled(cluster, MODELS[service]) - before[service])
        await cluster.serve()
        async with within(60):
            report = (await ended(session, accepted.run_id)).report.model_dump()
        calls = {each: server.calls for each, server in servers.items()}
        loaded = ids(await made.loaded(cluster.credentials))
        async with within(60):
            again = (await ended(session, (await session.start(request_of(made, config))).run_id)).report.model_dump()

    repeated = {each: count - RECORDS for each, count in calls.items()}
    print(f"{service} at {share:.0%}: {repeated} repeated, {in_flight} in flight, {unanswered} of them unanswered")
    assert 0 <= repeated.pop(service) <= in_flight <= MODEL_CALLS_AT_ONCE
    assert set(repeated.values()) == {0}
    assert max(struck.asked.values()) <= 2

    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    kept = await cluster.rows("SELECT record_id, outcome FROM quarantined_records WHERE run_id = $1", report["run_id"])
    assert {row["outcome"] for row in kept} == {"rejected"}
    assert sorted([*loaded, *(row["record_id"] for row in kept)]) == review_ids(RECORDS)
    assert report["calls"]["made"] == 2 * RECORDS  # what died with its asker is on nobody's books
    twice = sum(spent(server, MODELS[each]) for each, server in servers.items()) - report["cost"]["total"]
    assert 0 <= twice <= report["cost"]["total"] * in_flight / RECORDS

    assert {each: server.calls for each, server in servers.items()} == calls
    assert (again["calls"], again["cost"]["total"]) == ({"made": 0, "from_cache": 2 * RECORDS}, 0)
    assert again["records"] == report["records"]


async def test_who_waits_for_the_answer_of_a_transformer_that_is_killed_gets_one(cluster, model):
    """Many records ask what it was asking; only what was in flight in it is asked again."""
    name, questions = "waited_for", 60
    records = [{"id": f"r{n:04}", "review": f"Review {n % questions}", "stars": "1"} for n in range(10 * questions)]
    made = project(
        cluster.project / name,
        records,
        name=name,
        transform=ai(model.base_url, prompt="What is the mood of {{ input.review }}?"),
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 20},
    )
    model.latency = 0.2
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with cluster.scaled(transformer=2), open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(60):
            while model.calls < questions // 3:
                await asyncio.sleep(0.005)
        cluster.kill("transformer.2")
        async with within(60):
            report = (await ended(session, accepted.run_id)).report.model_dump()
    print(f"{model.calls} calls for {questions} questions")
    assert_complete(report, await made.loaded(cluster.credentials), [each["id"] for each in records])
    assert model.calls <= questions + MODEL_CALLS_AT_ONCE
    assert max(model.asked.values()) <= 2
    assert report["calls"] == {"made": questions, "from_cache": 9 * questions}


async def journalled(cluster: Cluster, model: str) -> int:
    """Return how many answers of a model are in the journal."""
    journal = open_journal(cluster.journal_url)
    try:
        return sum(each.answers for each in await journal.kept() if each.model == model)
    finally:
        await journal.close()


async def answered(server: SimulatedModel) -> None:
    """Wait until it has taken and answered all that was sent to it."""
    async with within(30):
        quiet = 0
        while quiet < 10:
            before = server.calls
            await asyncio.sleep(0.02)
            quiet = 0 if server.at_once or server.calls != before else quiet + 1
