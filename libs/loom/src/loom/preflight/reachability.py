"""Checks whether what a run connects to is there: the models' endpoints and the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from loom.preflight.model_calls.model_endpoints import endpoints
from loom.project.config import LoomConfig
from loom_ai.http.endpoints import Endpoint
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.urls import redacted
from loom_common.errors import LoomError

if TYPE_CHECKING:
    from loom_common.domain.checks.check import Check


async def models(pipeline: Pipeline, config: LoomConfig) -> list[Check]:
    """Try every endpoint that the pipeline may ask, without a question."""
    return await reached(endpoints(pipeline), config)


async def reached(wanted: Iterable[Endpoint], config: LoomConfig) -> list[Check]:
    """Try each of these endpoints once, without a question."""
    from loom_ai.reachability import reach
    from loom_common.domain.checks.check import Check

    credentials = config.secrets

    async def one(endpoint: Endpoint) -> Check:
        try:
            words = await reach(endpoint, credentials)
        except LoomError as error:
            return Check("model", ok=False, detail=str(error))
        return Check("model", ok=True, detail=f"{endpoint.model} at {redacted(endpoint.base_url)} {words}")

    return list(await asyncio.gather(*(one(each) for each in dict.fromkeys(wanted))))


async def journal(config: LoomConfig) -> list[Check]:
    """Check the journal, where it is a server's. A file is made by the first run."""
    url = config.settings().journal.url.get_secret_value()
    if url.startswith(("sqlite:", "memory:")):
        return []
    from loom_ai.reachability import reach_journal
    from loom_common.domain.checks.check import Check

    try:
        await reach_journal(url, config.project)
    except LoomError as error:
        return [Check("journal", ok=False, detail=str(error), away=True)]
    return [Check("journal", ok=True, detail=f"{redacted(url)} answers")]
