"""Tests steps with queues of their own on RabbitMQ: what is loaded is what an embedded run loads, a queue that nothing
serves is told of, and what waits in it is cancelled, or stays within the budget, as elsewhere."""

from __future__ import annotations

from contextlib import asynccontextmanager

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.flow import step_queue, step_topology
from loom_common.service.bootstrap import open_bus
from loom_dev.waiting import within
from support.books import assert_balanced
from support.clients import ended, report_of, request_of, settles, until
from support.places import outcome, spent
from support.projects import project

RECORDS = 24
OWN = ("why", "topic")
PER_CALL = 0.0000088
"""An amount in USD: what a question of these tests and its answer cost."""


def stepped(folder, model, destination, name="own_queues", **settings):
    """Return a project with a filter, a question, a router, and two questions with queues of their own, one of them on
    a branch, after which a function sees both."""
    (folder / "tally.py").parent.mkdir(parents=True, exist_ok=True)
    (folder / "tally.py").write_text("def fields(record): return {'fields': ' '.join(record)}\n")
    ask = {
        "type": "ai",
        "model": "gpt-4o-mini",
        "base_url": model.base_url,
        "max_tokens": 40,
        "cache": {"enabled": False},
    }
    steps = [
        {"name": "some", "type": "filter", "where": "id != 'r000003'"},
        {**ask, "name": "mood", "needs": "some", "prompt": "Mood of {{ input.id }}",
         "output": {"mood": {"enum": ["good", "bad"]}}},
        {"name": "route", "type": "router", "needs": "mood", "by": "mood", "routes": {"bad": "bad"},
         "otherwise": "good"},
        {**ask, "name": "why", "needs": "route.bad", "queue": "own", "prompt": "Why {{ input.mood }}, {{ input.id }}?",
         "output": {"why": "string"}},
        {**ask, "name": "topic", "needs": "some", "queue": "own", "prompt": "Topic of {{ input.id }}",
         "output": {"topic": "string"}},
        {"name": "fields", "type": "python", "function": "tally:fields", "needs": ["why", "topic", "route.good"]},
    ]  # fmt: skip
    return project(
        folder, RECORDS, name=name, transform={"steps": steps}, destination=destination, extract={"batch_size": 6},
        **settings,
    )  # fmt: skip


@asynccontextmanager
async def serving(cluster, *replicas):
    """Run transformers that serve steps with queues of their own: `why`, or `why.2` for a second one. They end by
    SIGTERM, with which they acknowledge all that they have done, so that nothing waits in their queues for others."""
    names = {f"transformer.{each}": each.partition(".")[0] for each in replicas}
    for name, step in names.items():
        cluster.begin(name, {"LOOM_TRANSFORM_STEPS": step})
    try:
        yield
    finally:
        for name in names:
            await cluster.terminate(name)
            cluster.drop(name)


async def test_a_run_says_what_nothing_serves_and_then_loads_what_an_embedded_run_loads(cluster, here, model):
    embedded = stepped(here.folder / "own", model, "out.jsonl")
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(embedded, here.config))
        alone = (await ended(session, accepted.run_id)).report.model_dump(mode="json")
    model.asked.clear()
    made = stepped(cluster.project / "own_queues", model, "${RESULTS}?table=own_queues")
    config = LoomConfig.load(cluster.project / "loom.yaml")

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(60):
            told = await until(session, accepted.run_id, lambda seen: "nothing serves" in (seen.notice or ""))
        assert told.notice.startswith("transform waits: nothing serves loom.transform.")
        assert "Start a transformer with LOOM_TRANSFORM_STEPS=" in told.notice
        async with serving(cluster, "why", "topic", "topic.2"), within(60):
            report = (await ended(session, accepted.run_id)).report.model_dump(mode="json")

    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    assert report["records"] == alone["records"]
    timeless = [[{**each, "seconds": 0} for each in one["steps"]] for one in (report, alone)]
    assert timeless[0] == timeless[1]
    assert report["calls"]["made"] == len(model.asked) == alone["calls"]["made"]
    rows = await made.loaded(cluster.credentials)
    assert filled(rows) == filled(await embedded.loaded(here.environ))


def filled(rows):
    """Return the fields that rows have, by the ids of the rows. A table has every column in every row, and a JSON line
    only what was made."""
    found = [{name: value for name, value in sorted(dict(row).items()) if value is not None} for row in rows]
    return sorted(found, key=lambda row: row["id"])


async def test_batches_that_wait_for_a_step_are_dropped_when_their_run_is_cancelled_or_has_no_money_left(
    cluster, model
):
    made = stepped(cluster.project / "waiting", model, "${RESULTS}?table=waiting_own", name="waiting_own")
    config = LoomConfig.load(cluster.project / "loom.yaml")
    bus = await open_bus(cluster.settings, "test")

    async def waiting() -> int:
        return sum([await bus.depth(step_queue(step)) for step in OWN])

    try:
        await bus.declare(step_topology(*OWN))
        async with open_session(config, cluster=True) as session:
            run_id = (await session.start(request_of(made, config))).run_id
            await until(session, run_id, lambda seen: "nothing serves" in (seen.notice or ""))
            await settles(waiting, RECORDS // 6)
            asked = model.calls
            assert (await session.cancel(run_id)).status == "cancelled"
            report = (await ended(session, run_id)).report.model_dump(mode="json")
            assert_balanced(report)
            assert (report["records"]["cancelled"], report["records"]["loaded"]) == (RECORDS, 0)
            assert asked == RECORDS - 1
            async with serving(cluster, "why", "topic"):
                for step in OWN:
                    await settles(lambda step=step: bus.depth(step_queue(step)), 0)
                assert model.calls == asked
                assert (await report_of(config, run_id))["records"]["loaded"] == 0

                await session.resume(run_id, budget=spent(model) + 12 * PER_CALL)
                paused = await outcome(session, run_id)
                assert (paused.status, paused.reason) == ("paused", "budget_exhausted")
                until_then = model.calls
                assert asked < until_then < asked + RECORDS

                await session.resume(run_id, budget=1)
                report = (await ended(session, run_id)).report.model_dump(mode="json")
                assert until_then < model.calls
                for step in OWN:  # what is left of the run as it was before, which is dropped
                    await settles(lambda step=step: bus.depth(step_queue(step)), 0)
        assert_balanced(report)
        assert (report["status"], report["records"]["loaded"]) == ("succeeded", RECORDS - 1)
        assert report["calls"]["made"] == len(model.asked) == model.calls
    finally:
        await bus.close()
