"""Tests a step with a queue of its own on RabbitMQ: its rows are those of an embedded run, and its worker, killed with
SIGKILL while it asks a model, pays no answer twice that was in."""

from __future__ import annotations

import asyncio

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_dev.waiting import within
from support.books import assert_balanced
from support.clients import ended, request_of
from support.cluster import MODEL_CALLS_AT_ONCE
from support.projects import project

RECORDS = 12
REDELIVERED_SECONDS = 25.0
"""Messages in flight must be delivered again at once, and not only when a sweep finds them."""
SERVES = {"LOOM_TRANSFORM_STEPS": "word"}


def steps(url: str, **keys: str) -> list[dict[str, object]]:
    ask = {"type": "ai", "model": "gpt-4o-mini", "base_url": url, "cache": {"enabled": False}}
    return [
        {**ask, "name": "mood", "prompt": "Mood of {{ input.id }}", "output": {"mood": {"enum": ["good", "bad"]}}},
        {**ask, **keys, "name": "word", "prompt": "{{ input.id }}: {{ input.mood }}", "output": {"word": "string"},
         "needs": "mood"},
        {**ask, "name": "last", "prompt": "Last of {{ input.id }}", "output": {"last": "string"}, "needs": "word"},
    ]  # fmt: skip


async def test_the_worker_of_a_step_killed_midway_pays_again_what_was_in_flight_and_loads_each_record_once(
    cluster, model
):
    name = "killed_in_its_own_queue"
    rows = [{"id": f"r{number}", "review": "fine", "stars": "1"} for number in range(RECORDS)]
    made = project(
        cluster.project / name, rows, name=name, transform={"steps": steps(model.base_url, queue="own")},
        destination=f"${{RESULTS}}?table={name}", extract={"batch_size": 4},
    )  # fmt: skip
    config = LoomConfig.load(cluster.project / "loom.yaml")
    questions = 3 * RECORDS
    model.hold_after(RECORDS + 6)

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        cluster.begin("transformer.word", SERVES)
        async with within(60):
            while model.calls <= RECORDS + 6:
                await asyncio.sleep(0.01)
        cluster.kill("transformer.word")
        model.let_go()
        cluster.begin("transformer.word", SERVES)
        async with within(REDELIVERED_SECONDS):
            report = (await ended(session, accepted.run_id)).report.model_dump(mode="json")
    cluster.drop("transformer.word")

    loaded = await made.loaded(cluster.credentials)
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    assert len(loaded) == len({row["id"] for row in loaded}) == RECORDS
    assert len(model.asked) == questions
    assert max(model.asked.values()) <= 2
    assert model.calls <= questions + MODEL_CALLS_AT_ONCE
    counts = {each["name"]: (each["seen"], each["calls_made"]) for each in report["steps"]}
    assert counts == dict.fromkeys(("mood", "word", "last"), (RECORDS, RECORDS))
