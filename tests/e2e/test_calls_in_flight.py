"""A provider's `concurrency` is how many calls are in flight, seen at the endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loom import Loom
from support.admin import admin
from support.books import assert_complete
from support.projects import ai, project, review_ids
from support.simulated_model import SimulatedModel

CONCURRENCY = 100
RECORDS = 600
BATCH_SIZE = 10
"""Eight batches, which a worker takes by itself, are fewer records than may be asked about at once."""


@pytest.fixture
def places(request, tmp_path) -> tuple[Path, Path, bool]:
    """Provide a pipeline's folder, the configuration, and whether a cluster carries it out."""
    if request.param == "embedded":
        (tmp_path / "loom.yaml").touch()
        return tmp_path / "p", tmp_path / "loom.yaml", False
    cluster = request.getfixturevalue("cluster")
    return cluster.project / "calls_in_flight", cluster.project / "loom.yaml", True


@pytest.mark.parametrize("places", ["embedded", "cluster"], indirect=True)
async def test_as_many_calls_are_in_flight_as_the_provider_is_configured_for(places, clean_environ, request):
    folder, loom_yaml, cluster = places
    async with SimulatedModel() as model:
        model.hold_until_together(CONCURRENCY)
        made = project(
            folder, RECORDS, destination="out.jsonl", transform=_asking(), extract={"batch_size": BATCH_SIZE}
        )
        made.say(providers={"openai": {"base_url": model.base_url, "concurrency": CONCURRENCY}})
        loom = Loom(loom_yaml)
        if cluster:  # the load of earlier tests may have lowered the limit of the transformer
            await admin(request.getfixturevalue("cluster"), "prefetch", "set", "transformer", "8")
        result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=cluster)
        if cluster:
            await admin(request.getfixturevalue("cluster"), "prefetch", "auto", "transformer")
        assert model.stats["most_at_once"] == CONCURRENCY
    assert_complete(result.report.model_dump(), await made.loaded(), review_ids(RECORDS))


def _asking() -> dict[str, Any]:
    transform = ai("")
    del transform["base_url"]
    return transform
