"""Tests a run asked for by a client that knows nothing of Loom but docs/wire-format.md: aio-pika and JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue

from loom_dev.waiting import within
from support.books import assert_complete
from support.cluster import Cluster
from support.projects import Project, project, review_ids

RECORDS = 40
PATIENCE = 30.0


class PlainClient:
    """Holds a channel, a queue for answers and a queue for events."""

    def __init__(self, channel: AbstractChannel, answers: AbstractQueue, events: AbstractQueue) -> None:
        self._channel = channel
        self._answers = answers
        self._events = events

    async def publish(self, key: str, body: bytes, **properties: Any) -> None:
        exchange = await self._channel.get_exchange("loom.runs", ensure=False)
        await exchange.publish(aio_pika.Message(body, **properties), key)

    async def ask(self, key: str, document: Any, **properties: Any) -> dict[str, Any]:
        """Publish JSON with a question's properties; the answer that carries the question's id."""
        question = uuid4().hex
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        await self.publish(key, body, reply_to=self._answers.name, correlation_id=question, **properties)
        answer = await _next(self._answers)
        assert answer.correlation_id == question
        return {"type": answer.type, **json.loads(answer.body)}

    async def event(self, kind: str, pipeline: str) -> dict[str, Any]:
        """Return the next event of that kind about the pipeline."""
        while (event := await _next(self._events)).routing_key != f"{kind}.{pipeline}":
            pass
        return {"type": event.type, **json.loads(event.body)}


async def _next(queue: AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    async with within(PATIENCE):
        while (message := await queue.get(no_ack=True, fail=False)) is None:
            await asyncio.sleep(0.02)
    return message


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[PlainClient]:
    connection = await aio_pika.connect(cluster.bus_url)
    async with connection:
        channel = await connection.channel()
        answers = await channel.declare_queue(exclusive=True)
        events = await channel.declare_queue(exclusive=True)
        await events.bind("loom.events", "run.#")
        yield PlainClient(channel, answers, events)


@pytest.fixture
async def state(cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(cluster.state_url)
    yield connection
    await connection.close()


def asked(cluster: Cluster, name: str) -> Project:
    return project(cluster.project / name, RECORDS, name=name, destination=f"${{RESULTS}}?table={name}")


async def test_the_documented_json_alone_starts_a_run_and_events_tell_its_end(cluster, client):
    made = asked(cluster, "plain")

    accepted = await client.ask("run.request", {"definition": made.definition, "base": "plain"})
    finished = await client.event("run.finished", "plain")

    assert (accepted["type"], accepted["pipeline"]) == ("loom.run.accepted.v1", "plain")
    assert (finished["type"], finished["run_id"]) == ("loom.run.finished.v1", accepted["run_id"])
    assert_complete(finished["report"], await made.loaded(cluster.credentials), review_ids(RECORDS))


async def test_a_registered_pipeline_runs_by_its_name_with_parameters(cluster, client, state):
    made = asked(cluster, "named")
    definition = {
        **made.definition,
        "params": {"least": {"type": "integer", "default": 0}},
        "extract": {
            "source": "${RESULTS}",
            "key": "id",
            "query": "SELECT id::text AS id, n FROM numbers WHERE n >= {{ least }}",
        },
    }
    await state.execute("CREATE TABLE numbers AS SELECT n AS id, n FROM generate_series(1, 10) AS n")
    await client.ask("run.request", {"definition": definition, "base": "named"})
    await client.event("run.finished", "named")
    await state.execute("TRUNCATE named")

    accepted = await client.ask("run.request", {"pipeline": "named", "params": {"least": 8}})
    finished = await client.event("run.finished", "named")

    assert finished["run_id"] == accepted["run_id"]
    assert_complete(finished["report"], await made.loaded(cluster.credentials), ["10", "8", "9"])


async def test_the_same_idempotency_key_twice_starts_one_run(cluster, client, state):
    made = asked(cluster, "same_key")
    request = {"definition": made.definition, "base": "same_key", "idempotency_key": "the same key"}

    first = await client.ask("run.request", request, message_id="of the key")
    finished = await client.event("run.finished", "same_key")
    second = await client.ask("run.request", {**request, "requested_by": "somebody else"}, message_id="of the key")
    third = await client.ask("run.request", request)
    other = await client.ask("run.request", {**request, "definition": {**made.definition, "name": "another"}})

    assert first["run_id"] == second["run_id"] == third["run_id"] == finished["run_id"]
    assert second["status"] == third["status"] == "succeeded"
    assert other["type"] == "loom.run.rejected.v1"
    assert f"has started {first['run_id']} of the pipeline same_key, and this request is for another" in str(other)
    assert await state.fetchval("SELECT count(*) FROM pipeline_runs WHERE pipeline_name = 'same_key'") == 1
    assert_complete(finished["report"], await made.loaded(cluster.credentials), review_ids(RECORDS))


async def test_the_same_idempotency_key_twice_starts_one_replay(cluster, client, state):
    made = asked(cluster, "replayed_once")
    too_long = {"evaluators": [{"type": "length", "field": "review", "max": 1, "threshold": 1.0}]}
    definition = {**made.definition, "evaluate": too_long}
    original = await client.ask("run.request", {"definition": definition, "base": "replayed_once"})
    await client.event("run.finished", "replayed_once")
    request = {"run_id": original["run_id"], "idempotency_key": "one replay"}

    first = await client.ask("run.replay", request, message_id="of the replay")
    await client.event("run.finished", "replayed_once")
    second = await client.ask("run.replay", request, message_id="of the replay")
    other = await client.ask("run.replay", {**request, "run_id": first["run_id"]})

    assert first["run_id"] == second["run_id"] != original["run_id"]
    assert other["type"] == "loom.run.rejected.v1"
    assert f"has started {first['run_id']} of the pipeline replayed_once, which is no replay of" in str(other)
    assert await state.fetchval("SELECT count(*) FROM pipeline_runs WHERE pipeline_name = 'replayed_once'") == 2


async def test_a_message_that_arrives_twice_starts_one_run(cluster, client, state):
    made = asked(cluster, "delivered_twice")
    body = json.dumps({"definition": made.definition, "base": "delivered_twice"}).encode()

    for _ in range(2):
        await client.publish("run.request", body, message_id="the-same")
    finished = await client.event("run.finished", "delivered_twice")
    # Whatever was asked later is answered later: when this answer is here, the second copy has been looked at.
    await client.ask("run.cancel", {"run_id": finished["run_id"]})

    assert await state.fetchval("SELECT count(*) FROM pipeline_runs WHERE pipeline_name = 'delivered_twice'") == 1


async def test_a_bad_request_is_answered_with_every_mistake_and_recorded(cluster, client, state):
    wrong = {
        "name": "wrong",
        "extract": {"source": "reviews.csv", "batch_sise": 5},
        "transform": {"type": "python"},
        "evaluate": {"evaluators": [{"type": "length", "threshold": 7}]},
        "load": {"destination": "out.csv", "mode": "upsert"},
    }

    rejected = await client.ask("run.request", {"definition": wrong, "requested_by": "nightly"})

    assert rejected["type"] == "loom.run.rejected.v1"
    mistakes = {".".join(map(str, each["path"])): each for each in rejected["mistakes"]}
    assert set(mistakes) == {"extract.batch_sise", "transform", "evaluate.evaluators.0.threshold", "load"}, mistakes
    assert mistakes["extract.batch_sise"]["suggestion"] == "batch_size"
    row = await state.fetchrow("SELECT * FROM rejected_requests WHERE pipeline_name = 'wrong'")
    assert (row["requested_by"], len(json.loads(row["mistakes"]))) == ("nightly", 4)
    assert await state.fetchval("SELECT count(*) FROM pipeline_runs WHERE pipeline_name = 'wrong'") == 0


@pytest.mark.parametrize(
    ("key", "document", "words"),
    [
        ("run.request", {"pipeline": "nobody_knows_it"}, "a registered pipeline"),
        ("run.request", {}, "one: a registered name, or a definition"),
        ("run.request", {"pipeline": "plain", "prams": {}}, "prams"),
        ("run.cancel", {"run_id": "run_unknown"}, "There is no run run_unknown"),
        ("run.resume", {}, "run_id"),
    ],
)
async def test_what_cannot_be_carried_out_is_answered_with_the_reason(client, key, document, words):
    rejected = await client.ask(key, document)

    assert rejected["type"] == "loom.run.rejected.v1"
    assert words in rejected["error"]


async def test_bad_json_goes_to_the_dead_letters_with_the_reason_and_is_answered(cluster, client):
    rejected = await client.ask("run.request", b'{"pipeline": "plain"')

    assert rejected["type"] == "loom.run.rejected.v1"
    connection = await aio_pika.connect(cluster.bus_url)
    async with connection:
        dead = await (await connection.channel()).get_queue("loom.dead", ensure=False)
        letter = await _next(dead)
    assert letter.body == b'{"pipeline": "plain"'
    assert "no JSON" in str(letter.headers["loom-dead-reason"])
    assert letter.headers["loom-dead-by"] == "coordinator"
    assert letter.routing_key == "run.request"


async def test_a_command_without_a_reply_address_is_carried_out_too(cluster, client):
    made = asked(cluster, "unanswered")

    await client.publish("run.request", json.dumps({"definition": made.definition, "base": "unanswered"}).encode())
    finished = await client.event("run.finished", "unanswered")

    assert_complete(finished["report"], await made.loaded(cluster.credentials), review_ids(RECORDS))
