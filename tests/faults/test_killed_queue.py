"""Tests runs that read a queue, or publish to an exchange, killed with SIGKILL again and again."""

import random
from collections import defaultdict

import orjson
import pytest

from support.books import assert_complete
from support.command import Command, loom, runs
from support.length import LONG
from support.projects import project, review_ids
from support.queues import queues_at, reviews

RECORDS = 400
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
