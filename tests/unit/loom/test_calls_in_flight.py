"""Batches that are too small for a provider's `concurrency` are told of before a run."""

from __future__ import annotations

import pytest

from loom.preflight.model_calls.calls_in_flight import calls, told
from loom_common.domain.definition.pipeline import Pipeline


def pipeline(batch_size: int, concurrency: int | None, **transform) -> Pipeline:
    provider = {} if concurrency is None else {"concurrency": concurrency}
    return Pipeline.model_validate(
        {
            "name": "moods",
            "providers": {"openai": provider},
            "extract": {"source": "in.csv", "key": "id", "batch_size": batch_size},
            "transform": {
                "type": "ai",
                "model": "gpt-4o-mini",
                "prompt": "How is {{ input.review }}?",
                "output": {"mood": {"enum": ["good", "bad"]}},
                **transform,
            },
            "load": {"destination": "out.jsonl"},
        }
    )


@pytest.mark.parametrize(("batch_size", "concurrency"), [(100, 1000), (1, None), (1, 128), (4, 500)])
def test_nothing_is_said_where_a_run_has_enough_records_on_their_way(batch_size, concurrency):
    assert told(pipeline(batch_size, concurrency)) is None


@pytest.mark.parametrize(("per_call", "enough"), [(1, 4), (10, 40)])
def test_it_is_said_how_large_batches_must_be(per_call, enough):
    words = told(pipeline(1, 500, records_per_call=per_call))
    assert words is not None
    assert words.endswith(f"Let `extract.batch_size` be {enough} or more")
    assert calls(enough - 1, per_call) < 500 <= calls(enough, per_call)
