"""Tests the transformer killed with SIGKILL amid the steps of a batch, on RabbitMQ, with the calls counted at the
server."""

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


async def test_a_transformer_killed_amid_steps_pays_again_what_was_in_flight_and_derives_each_record_once(
    cluster, model
):
    """The first step is answered from the journal, the second goes on where it was, and no part is loaded twice."""
    ask = {"type": "ai", "model": "gpt-4o-mini", "base_url": model.base_url, "cache": {"enabled": False}}
    name = "killed_amid_steps"
    steps = [
        {**ask, "name": "mood", "prompt": "Mood of {{ input.id }}", "output": {"mood": {"enum": ["good", "bad"]}}},
        {"name": "parts", "type": "split", "field": "review", "by": "words", "size": 1, "needs": "mood"},
        {**ask, "name": "word", "prompt": "{{ input.id }}: {{ input.review }}", "output": {"word": "string"},
         "needs": "parts"},
    ]  # fmt: skip
    rows = [{"id": f"r{number}", "review": "one two three", "stars": "1"} for number in range(RECORDS)]
    made = project(
        cluster.project / name, rows, name=name, transform={"steps": steps}, destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 4},
    )  # fmt: skip
    config = LoomConfig.load(cluster.project / "loom.yaml")
    questions = RECORDS * (1 + 3)
    model.hold_after(RECORDS + 6)

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(60):
            while model.calls <= RECORDS + 6:
                await asyncio.sleep(0.01)
        cluster.kill("transformer")
        model.let_go()
        await cluster.serve()
        async with within(REDELIVERED_SECONDS):
            report = (await ended(session, accepted.run_id)).report.model_dump(mode="json")

    loaded = await made.loaded(cluster.credentials)
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    records = report["records"]
    assert (records["derived"], records["unnested"], records["loaded"]) == (3 * RECORDS, RECORDS, 3 * RECORDS)
    assert len(loaded) == len({(row["id"], row["review_number"]) for row in loaded}) == 3 * RECORDS
    assert len(model.asked) == questions
    assert max(model.asked.values()) <= 2
    assert model.calls <= questions + MODEL_CALLS_AT_ONCE
