"""Estimates what a run would cost, by what earlier runs tell, and keeps the estimate, so that the next run is compared
with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom.preflight import estimate as preflight_estimate
from loom.preflight.estimate import Estimate
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.views import open_views


async def estimated(loaded: LoadedPipeline, config: LoomConfig, sample: int, params: Mapping[str, Any]) -> Estimate:
    """Estimate over the first `sample` records. Raises `ConfigurationError` where every record of the sample fails, and
    `SourceError` and its like."""
    if config.distributed and config.settings().state.url.get_secret_value().startswith("sqlite:"):
        return await preflight_estimate.estimate(
            loaded, config, sample, params
        )  # the cluster's state is not known here
    async with open_views(config) as views:
        answered = await views.tokens_per_answer(loaded.pipeline.name)
    made = await preflight_estimate.estimate(loaded, config, sample, params, answered)
    async with open_views(config) as views:
        await views.keep_estimate(made)
    return made
