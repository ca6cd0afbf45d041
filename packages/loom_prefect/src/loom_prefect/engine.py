"""Opens the engine: the six services in this process, whose handlers are called by tasks of Prefect."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

# Prefect reads both when it is imported. What it says of each task belongs on its server, not on the screen of
# `loom run`; and nobody is told that Loom uses it.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("DO_NOT_TRACK", "1")

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from loom.project.config import LoomConfig
from loom.session import Opening, RunEngine, open_embedded
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, DependencyUnavailable
from loom_common.service.bootstrap import Platform
from loom_prefect.flow_runs import FlowRuns
from loom_prefect.prefect_loop import PrefectLoop, prefect_loop
from loom_prefect.task_runs import TaskRuns


@asynccontextmanager
async def opened(config: LoomConfig, opening: Opening) -> AsyncIterator[RunEngine]:
    """Open the engine. Raises `ConfigurationError` where no server is named, and `DependencyUnavailable` where it does
    not answer."""
    url = PREFECT_API_URL.value()
    if not url:
        raise ConfigurationError(
            "The engine 'prefect' needs a server of Prefect, and none is named. Start one with `prefect server start`, "
            "then name it: `prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`, or PREFECT_API_URL in the "
            "environment."
        )
    async with prefect_loop() as loop:
        if (trouble := await loop.run(_health())) is not None:
            raise DependencyUnavailable(f"Prefect's server at {redacted(url)} does not answer: {trouble}")
        async with open_embedded(config, opening, partial(_carrying, loop)) as engine:
            yield engine


async def _health() -> Exception | None:
    async with get_client() as client:
        trouble: Exception | None = await client.api_healthcheck()
        return trouble


@asynccontextmanager
async def _carrying(loop: PrefectLoop, platform: Platform) -> AsyncIterator[TaskRuns]:
    async with FlowRuns(loop, platform.bus).following() as flow_runs:
        yield TaskRuns(loop, flow_runs, platform.bus)
