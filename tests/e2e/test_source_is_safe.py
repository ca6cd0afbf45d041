"""A pipeline that would write to its own source is refused beforehand, and by a worker in any case."""

from __future__ import annotations

import asyncio

import pytest

from loom import Loom
from support.projects import project

CONTENT = "id,review,stars\na,fine,1\nb,good,2\n"


@pytest.mark.parametrize("destination", ["reviews.csv", "./x/../reviews.csv", "link.csv"])
@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_command_refuses_it_with_its_place(loom, tmp_path, command, destination):
    made = project(tmp_path, destination=destination)
    made.path("reviews.csv").write_text(CONTENT)
    made.path("link.csv").symlink_to("reviews.csv")
    told = loom(command, "pipeline.yaml")
    assert told.code == 2, told
    words = " ".join((told.err + told.out).split())
    assert "pipeline.yaml:" in words
    assert "load.destination" in words
    assert "destroy its own source" in words
    assert made.path("reviews.csv").read_text() == CONTENT


def test_a_worker_refuses_it(loom, tmp_path):
    made = project(tmp_path, source="*.csv", destination="scores.csv")
    made.path("reviews.csv").write_text(CONTENT)
    sdk = Loom()
    result = asyncio.run(sdk.run_pipeline(sdk.load_pipeline(made.pipeline)))
    assert result.status == "failed"
    assert "destroy its own source" in str(result.report.error)
    assert not made.path("scores.csv").exists()
    assert made.path("reviews.csv").read_text() == CONTENT
