"""Tests pipelines that turn texts into vectors."""

from __future__ import annotations

import math

import pytest

from loom.session import open_session
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.command import Command, loom, runs
from support.places import Place, spent
from support.projects import at_once, project, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 25
AT_ONCE = 3
EMBED = {
    "type": "embed",
    "model": "text-embedding-3-small",
    "field": "review",
    "dimensions": 8,
    "normalize": True,
    "texts_per_call": 4,
}


async def test_texts_that_share_calls_are_each_paid_for_once(here, model):
    await texts_are_paid_for_once(here, model, "out.parquet")


async def test_so_they_are_on_rabbitmq_and_in_postgres(fleet, model):
    await texts_are_paid_for_once(fleet, model, "${RESULTS}?table=embedded")


async def texts_are_paid_for_once(place: Place, model: SimulatedModel, destination: str) -> None:
    made = project(
        place.folder / "embedded",
        RECORDS,
        name="embedded",
        transform={**EMBED, "base_url": model.base_url},
        destination=destination,
        extract={"batch_size": 10},
    )
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config))
        first = (await ended(session, accepted.run_id)).report.model_dump()
        calls = model.calls
        made.say(load={**made.definition["load"], "mode": "replace"})
        accepted = await session.start(request_of(made, place.config))
        second = (await ended(session, accepted.run_id)).report.model_dump()
    assert_balanced(first)
    assert first["records"]["loaded"] == RECORDS
    assert calls == first["calls"]["made"] == 8  # batches of 10, 10 and 5 by four
    assert first["cost"]["total"] == pytest.approx(spent(model, "text-embedding-3-small"), abs=1e-12)
    assert (model.calls, second["calls"]["made"], second["cost"]["total"]) == (calls, 0, 0)
    vectors = [row["embedding"] for row in await made.loaded(place.environ)]
    assert [len(vector) for vector in vectors] == [8] * RECORDS
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-5) for vector in vectors)


async def test_a_killed_run_embeds_again_what_was_in_flight_alone(tmp_path, model):
    made = project(
        tmp_path, RECORDS, transform={**EMBED, "base_url": model.base_url}, destination="out.jsonl",
        extract={"batch_size": 5},
    )  # fmt: skip
    made.say(**at_once(AT_ONCE))
    model.hold_after(4)
    command = await Command.begin(tmp_path, "run", made.pipeline.name)
    await command.reach(lambda: model.calls > 4)
    await command.kill()
    model.let_go()
    report = (await loom(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    assert 10 < model.calls <= 10 + AT_ONCE
