"""Tests that records of one key stay in sequence through a stream (`order_by`), while others overtake them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from loom.project.config import LoomConfig
from support.clients import ended, request_of
from support.cluster_streams import named
from support.command import Command
from support.in_sequence import (
    SECTIONS,
    ObservingModel,
    asking,
    expected,
    loaded,
    loaded_on,
    messages,
    ordered_on,
    records,
    sequences,
)
from support.projects import Project
from support.streamed import opened, state, streaming, windows


@pytest.fixture
async def observing() -> AsyncIterator[ObservingModel]:
    async with ObservingModel() as server:
        yield server


def ordered(folder: Any, model: ObservingModel, **sections: Any) -> Project:
    load = {"destination": "sqlite:///out.db?table=t", "mode": "append", "include": ["customer", "n"]}
    return streaming(folder, **{"transform": asking(model), "load": load, **SECTIONS, **sections})


def arrive(made: Project, name: str, of: Sequence[dict[str, Any]]) -> None:
    beside = made.path(f"{name}.part")
    beside.write_text("".join(json.dumps(each) + "\n" for each in of))
    beside.rename(made.path("inbox") / f"{name}.jsonl")


REFUSING = """
from pathlib import Path

def checked(record):
    if record["customer"] == 0 and not Path(__file__).with_name("now_right").exists():
        raise ValueError("not now")
    return {"mood": "good"}
"""


async def test_records_of_a_key_are_asked_about_and_loaded_one_after_the_other(tmp_path, observing):
    """Windows close after ten records, so that a customer's records lie on both sides of several borders."""
    made = ordered(tmp_path, observing)
    async with opened(made) as stream:
        for at in range(4):
            arrive(made, f"f{at}", records(range(at * 15, at * 15 + 15)))
        await stream.drained()
    assert loaded(made) == sequences(observing.questions) == expected(60)
    assert observing.together == 1
    assert [count for _, _, count in windows(made)[:6]] == [10] * 6


async def test_replicas_keep_the_sequence(staffed, observing):
    await staffed.serve(loader=2)
    try:
        async with ordered_on(staffed, observing, named("in_sequence")) as stream:
            await stream.queues.put(stream.name, *messages(range(60)))
            await stream.until_loaded(60)
            assert await loaded_on(staffed, stream.name) == expected(60)
    finally:
        staffed.drop("loader.2")
    assert sequences(observing.questions) == expected(60)
    assert observing.together == 1


async def test_a_stream_that_was_paused_and_one_that_was_killed_go_on_in_sequence(tmp_path, observing):
    made = ordered(tmp_path, observing)
    async with opened(made) as stream:
        arrive(made, "a", records(range(20)))
        await stream.until(lambda: len(observing.questions) > 5)
    arrive(made, "b", records(range(20, 40)))
    answered = observing.calls + 8
    observing.hold_after(answered)
    command = await Command.begin(made.folder, "run", "pipeline.yaml")
    assert await command.reach(lambda: observing.calls > answered)
    await command.kill()
    observing.let_go()
    async with opened(made) as stream:
        await stream.drained()
    assert loaded(made) == expected(40)


async def test_each_of_two_versions_keeps_the_sequence_of_its_customers(tmp_path, observing):
    made = ordered(tmp_path, observing, version="1.0.0")
    async with opened(made) as stream:
        arrive(made, "a", records(range(10)))
        await stream.closed(1)
        made.say(version="2.0.0")
        await stream.session.begin(request_of(made, LoomConfig.load(made.folder / "loom.yaml"), canary=0.7))
        arrive(made, "b", records(range(10, 50)))
        await stream.until(lambda: sum(map(len, loaded(made).values())) == 50)
        await stream.session.promote(stream.stream)
        arrive(made, "c", records(range(50, 60)))
        await stream.drained()
    assert loaded(made) == sequences(observing.questions) == expected(60)
    assert observing.together == 1
    both = "SELECT DISTINCT stream_window FROM pipeline_runs WHERE canary_of IS NOT NULL AND records_processed > 0"
    assert len(state(made, both)) > 1


async def test_what_is_kept_back_and_replayed_comes_later_in_its_own_sequence(tmp_path, observing):
    made = ordered(tmp_path, observing, transform={"type": "python", "function": "transforms:checked"})
    made.path("transforms.py").write_text(REFUSING)
    async with opened(made) as stream:
        arrive(made, "a", [*records(range(8)), {"id": "x", "n": 1}, {"id": "y", "n": 2, "customer": ""}])
        await stream.closed(1)
        assert loaded(made) == {1: [0, 1, 2], 2: [0, 1]}
        made.path("now_right").touch()
        first = state(made, "SELECT run_id FROM pipeline_runs WHERE stream_window = 1")
        replayed = await stream.session.replay(first[0][0], None)
        assert (await ended(stream.session, replayed.run_id)).report.records["loaded"] == 3
    assert loaded(made) == {0: [0, 1, 2], 1: [0, 1, 2], 2: [0, 1]}
    assert state(
        made, "SELECT count(DISTINCT record_id) FROM quarantined_records WHERE code = 'missing_order_key'"
    ) == [(2,)]
