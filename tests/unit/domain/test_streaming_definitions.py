"""Tests what a pipeline file may say of a stream, and that its mistakes are named."""

from __future__ import annotations

from typing import Any

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition

STREAM: dict[str, Any] = {
    "name": "p",
    "mode": "streaming",
    "extract": {"source": "in/*.jsonl"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "out.jsonl", "mode": "append"},
}


@pytest.mark.parametrize(
    ("changed", "key", "words"),
    [
        ({"mode": "batch", "window": "5m"}, "window", "without `mode: streaming`"),
        ({"mode": "batch", "batch": {"size": 5}}, "batch", "without `mode: streaming`"),
        ({"mode": "batch", "extract": {"source": "a.csv", "poll": "1s"}}, "extract.poll", "without `mode: streaming`"),
        (
            {"mode": "batch", "extract": {"source": "a.csv", "settle": "1s"}},
            "extract.settle",
            "without `mode: streaming`",
        ),
        (
            {"mode": "batch", "extract": {"source": "a.csv", "lag": "1h"}},
            "extract.lag",
            "without `mode: streaming`",
        ),
        ({"mode": "endless"}, "mode", "one of batch, streaming"),
        ({"window": "0s"}, "window.every", "more than no time"),
        ({"window": {"every": "5 minutes"}}, "window.every", "a number and a unit"),
        ({"window": {"records": 0}}, "window.records", "at least 1"),
        ({"window": {"size": 5}}, "window.size", "the unknown key"),
        ({"batch": {"wait": "soon"}}, "batch.wait", "a number and a unit"),
        ({"batch": {"size": 5}, "extract": {"source": "in/*", "batch_size": 7}}, "extract.batch_size", "or 5 as in"),
        ({"extract": {"source": "in/*", "partitions": 4}}, "extract.partitions", "in one place"),
        ({"load": {"destination": "out.csv"}}, "load", "`mode: append` or `mode: upsert`"),
        ({"load": {"destination": "out.csv", "mode": "replace"}}, "load.mode", "`append` or `upsert`"),
        (
            {"transform": {"type": "ai", "model": "m", "prompt": "p", "output": "text", "execution": "batch"}},
            "transform.execution",
            "`direct` in a stream",
        ),
        ({"mode": "batch", "order_by": "c"}, "order_by", "without `mode: streaming`"),
        ({"order_by": ["c", "c"]}, "order_by", "each field once"),
        ({"order_by": [""]}, "order_by", "names of fields"),
        (
            {"order_by": "c", "load": {"destination": "o.jsonl", "mode": "append", "on_failure": "retry"}},
            "load.on_failure",
            "comes after later ones",
        ),
        (
            {"order_by": "c", "transform": {"type": "steps", "steps": [{"type": "unnest", "field": "items"}]}},
            "transform.steps.0",
            "no `unnest` beside `order_by`",
        ),
    ],
)
def test_what_a_stream_cannot_have_is_named(changed, key, words):
    with pytest.raises(InvalidDefinition) as raised:
        parse({**STREAM, **changed})
    found = {".".join(map(str, each.path)): str(each) for each in raised.value.problems}
    assert words in found.get(key, str(found))


@pytest.mark.parametrize("size", [0, -1, 10_001, "many", None])
def test_a_size_of_batches_that_cannot_be_is_told_where_it_is_written_alone(size):
    with pytest.raises(InvalidDefinition) as raised:
        parse({**STREAM, "batch": {"size": size}})
    assert [each.key for each in raised.value.problems] == ["batch.size"]


def test_a_stream_has_windows_and_a_pace():
    pipeline = parse({**STREAM, "window": {"records": 5}, "batch": {"size": 7, "wait": "1s"}})
    assert pipeline.windows is not None
    assert (pipeline.windows.every, pipeline.windows.records) == ("5m", 5)
    assert pipeline.pace is not None
    assert (pipeline.pace.size, pipeline.pace.wait_seconds, pipeline.extract.batch_size) == (7, 1.0, 7)
    assert parse({**STREAM, "mode": "batch", "load": {"destination": "o.csv"}}).pace is None


def test_records_are_in_sequence_by_one_field_or_by_several():
    assert parse({**STREAM, "order_by": "c"}).order_by == ["c"]
    assert parse({**STREAM, "order_by": ["a", "b"]}).order_by == ["a", "b"]


def test_a_plan_with_the_size_of_its_batches_is_read_again():
    pipeline = parse({**STREAM, "batch": {"size": 7}})
    assert parse(pipeline.model_dump(by_alias=True, exclude_defaults=True)) == pipeline
