"""Tests that records of one key stay in sequence through a stream (`order_by`), while others overtake them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from support.cluster_streams import named
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
from support.streamed import opened, streaming, windows


@pytest.fixture
async def observing() -> AsyncIterator[ObservingModel]:
    async with ObservingModel() as server:
        yield server


def ordered(folder: Any, model: ObservingModel, **sections: Any) -> Project:
    load = {"destination": "sqlite:///out.db?table=t", "mode": "append", "include": ["customer", "n"]}
    return streaming(folder, transform=asking(model), load=load, **{**SECTIONS, **sections})


def arrive(made: Project, name: str, of: Sequence[dict[str, Any]]) -> None:
    beside = made.path(f"{name}.part")
    beside.write_text("".join(json.dumps(each) + "\n" for each in of))
    beside.rename(made.path("inbox") / f"{name}.jsonl")


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
