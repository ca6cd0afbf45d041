"""Tests what is told, before a run, of records that differ from the stored versions of their schemas."""

from types import SimpleNamespace

import pytest

from loom.requests import expected_drift
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.reader import parse
from loom_common.domain.schema.columns import Column
from loom_common.domain.values.fields import Fields
from loom_common.flow import Stage

TEXT, NUMBER, WHOLE = Column(type="string"), Column(type="number"), Column(type="integer")
SOURCE = Check("source", ok=True, detail="", fields=Fields(("id", "age", "new"), certain=True))
RECORDS = [{"id": "a", "age": 2.5, "new": "x"}]


def version(**columns):
    return SimpleNamespace(version=3, columns={"id": TEXT, **columns})


def loaded(transform=None, extract=None, load=None, **more):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "key": "id", **(extract or {})},
        "transform": transform or {"type": "passthrough"},
        "load": {"destination": "y.csv", **(load or {})},
        **more,
    }
    document = SimpleNamespace(problem=lambda path, found, expected: f"{path[0]}: {found}")
    return SimpleNamespace(pipeline=parse(definition), document=document)


async def compared(monkeypatch, pipeline, stored):
    async def versions(name, *_, **__):
        assert name == pipeline.pipeline.state_name
        return stored

    async def read(*_, **__):
        return RECORDS

    monkeypatch.setattr(expected_drift, "_stored", versions)
    monkeypatch.setattr("loom.preflight.source_sample.of_pipeline", read)
    monkeypatch.setattr(expected_drift, "frozen_mistakes", lambda plan: ())
    drift, checks = await expected_drift.compared(pipeline, None, [SOURCE], connect=False)
    changes = {stage.stage: {each.column: each.change for each in stage.changes} for stage in drift}
    return changes, [check.ok for check in checks if not check.doubtful]


@pytest.mark.parametrize(
    ("pipeline", "stored", "changes", "ready"),
    [
        (loaded(), {Stage.EXTRACT: version(age=NUMBER, new=TEXT)}, {}, [True]),
        (
            loaded(target="prod"),
            {Stage.EXTRACT: version(age=WHOLE)},
            {"extract": {"age": "widened", "new": "added"}},
            [True],
        ),
        (
            loaded(extract={"schema": {"columns": "freeze"}}),
            {Stage.EXTRACT: version(age=WHOLE)},
            {"extract": {"age": "widened", "new": "added"}},
            [False],
        ),
        (
            loaded(extract={"schema": {"columns": "freeze"}, "incremental": "age"}, load={"mode": "append"}),
            {Stage.EXTRACT: version(age=WHOLE)},
            {"extract": {"age": "widened", "new": "added"}},
            [],
        ),
        (
            loaded(extract={"schema": "discard_value"}, load={"schema": "manual"}),
            {Stage.EXTRACT: version(age=WHOLE), Stage.LOAD: version(age=WHOLE)},
            {"extract": {"age": "widened", "new": "added"}},
            [True, True],
        ),
        (
            loaded({"type": "python", "function": "code:made"}, load={"schema": "manual"}),
            {Stage.TRANSFORM: version(), Stage.LOAD: version()},
            {},
            [],
        ),
        (
            loaded({"type": "python", "function": "code:made", "output": {"age": "number", "mood": "string"}}),
            {Stage.TRANSFORM: version(age=WHOLE, mood=Column(type="string", format="email")), Stage.LOAD: version()},
            {"transform": {"id": "removed", "age": "widened"}, "load": {"age": "added", "mood": "added"}},
            [True, True],
        ),
        (
            loaded(params={"day": {"type": "date"}}),
            {Stage.EXTRACT: version(age=WHOLE)},
            {},
            [],
        ),
    ],
)
async def test_what_is_known_before_a_run_is_compared_with_the_stored_versions(
    monkeypatch, pipeline, stored, changes, ready
):
    assert await compared(monkeypatch, pipeline, stored) == (changes, ready)
