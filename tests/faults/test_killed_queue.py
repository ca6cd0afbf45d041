"""Tests runs that read a queue, or publish to an exchange, killed with SIGKILL again and again."""

import asyncio
import random
from collections import defaultdict
from uuid import uuid4

import orjson
import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.resilience.failpoints import VARIABLE
from loom_dev.waiting import within
from support.books import assert_balanced, assert_complete
from support.clients import ended as end_of
from support.clients import request_of
from support.command import Command, loom, runs
from support.length import LONG
from support.projects import project, review_ids
from support.queues import queues_at, reviews

RECORDS, FEWER = 400, 200
KILLS = 8 if LONG else 3


async def begin(folder, environ) -> Command:
    """Run the pipeline; where a run of it was begun, resume that."""
    begun = runs(folder)
    arguments = ["resume", begun[-1]] if begun else ["run", "pipeline.yaml"]
    return await Command.begin(folder, *arguments, "--format", "json", environ=environ)


async def finish(folder, environ):
    ended = await (await begin(folder, environ)).end()
    if ended.code == 2 and "nothing to resume" in ended.err:
        return await loom(folder, "status", runs(folder)[-1], "--format", "json", environ=environ)
    return ended


@pytest.mark.timeout(400)
async def test_a_queue_s_messages_are_loaded_once_each_however_often_the_run_is_killed(tmp_path, amqp_url):
    chance = random.Random("queue")
    made = project(tmp_path, [], source="none.csv", destination="sqlite:///out.db?table=reviews")
    options = {"prefetch": 10, "until": "idle", "idle_timeout": "1s"}
    made.say(extract={"source": "${BROKER}?queue=reviews", "key": "id", "batch_size": 5, "options": options})
    environ = {"BROKER": amqp_url}
    async with queues_at(amqp_url) as queues:
        await queues.declare("reviews")
        await queues.put("reviews", *reviews(range(RECORDS)))

        for _ in range(KILLS):
            before = await queues.depth("reviews")
            command = await begin(made.folder, environ)
            taken = before - chance.randrange(10, 60)
            async with within(60, f"a queue of {taken} messages"):
                while command.running and await queues.depth("reviews") > taken:
                    pass
            await command.kill()
        ended = await finish(made.folder, environ)

        assert_complete(ended.report, await made.loaded(), review_ids(RECORDS))
        assert len(runs(made.folder)) == 1
        assert await queues.depth("reviews") == 0


@pytest.mark.timeout(400)
async def test_no_message_is_missing_at_an_exchange_and_those_that_are_there_twice_have_one_id(tmp_path, amqp_url):
    chance = random.Random("exchange")
    extract = {"key": "id", "batch_size": 5}
    made = project(tmp_path, RECORDS, destination="${BROKER}?exchange=scores", extract=extract)
    environ = {"BROKER": amqp_url}
    async with queues_at(amqp_url) as queues:
        await queues.declare_exchange("scores", all="#")

        for _ in range(KILLS):
            before = await queues.depth("all")
            command = await begin(made.folder, environ)
            enough = before + chance.randrange(5, 60)
            async with within(60, f"{enough} messages"):
                while command.running and await queues.depth("all") < enough:
                    pass
            await command.kill()
        ended = await finish(made.folder, environ)

        assert ended.report["records"]["loaded"] == RECORDS
        found = defaultdict(set)
        messages = await queues.take("all")
        for each in messages:
            found[orjson.loads(each.body)["id"]].add(each.message_id)
        assert sorted(found) == sorted(review_ids(RECORDS))
        assert all(len(ids) == 1 for ids in found.values())
        print(f"{len(messages)} messages for {RECORDS} records, killed {KILLS} times")


@pytest.mark.timeout(200)
async def test_a_cluster_takes_a_queue_to_an_exchange_though_its_extractor_and_its_loader_are_killed(cluster):
    queued, scored = (f"{name}_{uuid4().hex}" for name in ("queued", "scored"))
    made = project(cluster.project / "queued", [], source="none.csv", destination=f"${{CLUSTER_BUS}}?exchange={scored}")
    source = {"source": f"${{CLUSTER_BUS}}?queue={queued}", "key": "id", "batch_size": 5, "options": {"prefetch": 10}}
    made.say(name="queued", extract=source)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with queues_at(cluster.bus_url) as queues, open_session(config, cluster=True) as session:
        await queues.declare(queued)
        await queues.declare_exchange(scored, **{scored: "#"})
        await queues.put(queued, *reviews(range(FEWER)))

        run_id = (await session.start(request_of(made, config))).run_id
        async with within(60):
            while await queues.depth(queued) > FEWER * 0.8:
                await asyncio.sleep(0.005)
        cluster.kill("extractor")
        await cluster.serve()
        async with within(60):
            while await queues.depth(scored) < FEWER * 0.2:
                await asyncio.sleep(0.005)
        cluster.kill("loader")
        await cluster.serve()
        async with within(100):
            report = (await end_of(session, run_id)).report.model_dump()

        messages = await queues.take(scored)
        assert await queues.depth(queued) == 0
        for name in (queued, scored):
            await queues.channel.queue_delete(name)
    assert_balanced(report)
    assert (report["status"], report["records"]["loaded"]) == ("succeeded", FEWER)
    ids = {each.message_id: orjson.loads(each.body)["id"] for each in messages}
    assert sorted(ids.values()) == sorted(review_ids(FEWER))
    print(f"{len(messages)} messages for {FEWER} records")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", [3, 6])
async def test_messages_that_are_kept_are_acknowledged_though_their_extractor_died_before_it_did(cluster, page):
    queued = f"queued_{uuid4().hex}"
    made = project(cluster.project / queued, [], source="none.csv", destination="out.csv")
    source = {"source": f"${{CLUSTER_BUS}}?queue={queued}", "key": "id", "batch_size": 10, "options": {"prefetch": 10}}
    made.say(name=queued, extract=source)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with queues_at(cluster.bus_url) as queues, open_session(config, cluster=True) as session:
        await queues.declare(queued)
        await queues.put(queued, *reviews(range(60)))
        cluster.kill("extractor")
        cluster.begin("extractor", {VARIABLE: f"extractor:before_source_ack:{page}"})
        run_id = (await session.start(request_of(made, config))).run_id
        async with within(60, "the extractor's end"):
            while "extractor" not in cluster.ended():
                await asyncio.sleep(0.02)
        await cluster.serve()
        async with within(60):
            report = (await end_of(session, run_id)).report.model_dump()
        left = [each.message_id for each in await queues.take(queued)]
        await queues.channel.queue_delete(queued)
    assert (report["status"], report["records"]["loaded"], left) == ("succeeded", 60, [])
    assert_balanced(report)
