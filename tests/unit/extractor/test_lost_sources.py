"""Tests how long a stream waits for a source that is away."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.errors import BreakerOpen, DependencyUnavailable, RateLimited
from loom_extractor.sources.lost_sources import LostSources

STREAM = parse(
    {
        "name": "tickets",
        "mode": "streaming",
        "extract": {"source": "inbox/*.jsonl"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "out.csv", "mode": "append"},
    }
)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (DependencyUnavailable("away"), 2.0),
        (RateLimited("slowly", retry_after=0.5), 2.0),
        (RateLimited("slowly", retry_after=40.0), 40.0),
    ],
)
async def test_a_source_that_asks_to_wait_is_waited_for(error, seconds):
    with pytest.raises(BreakerOpen) as raised:
        async with LostSources().of(Plan(pipeline=STREAM, stream="stream_1")):
            raise error
    assert raised.value.probe_in == seconds
    assert raised.value.reason == str(error)
