"""Reads what commands ask of the run state before and beside a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from loom_common.errors import ConfigurationError

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.views import Views

T = TypeVar("T")


async def ask(config: LoomConfig, question: Callable[[Views], Awaitable[T]]) -> T:
    """Return the answer of the run state to one question."""
    async with opened(config) as views:
        return await question(views)


@asynccontextmanager
async def opened(config: LoomConfig) -> AsyncIterator[Views]:
    """Open the run state of the configured mode. Raises `ConfigurationError` where a cluster's is not known."""
    from loom.views import open_views

    state = config.settings().state.url.get_secret_value()
    if config.distributed and state.startswith("sqlite:"):
        raise ConfigurationError(
            "The cluster's run state is not known here. Name its database: `storage: {type: postgres, url: "
            "postgresql://...}` in loom.yaml, or LOOM_STATE_URL in the environment."
        )
    async with open_views(config) as views:
        yield views


async def registered_names(config: LoomConfig, target: str) -> list[str]:
    """List the pipelines that have run here. A cluster knows its own: what it is asked for by name counts as
    registered."""
    if config.distributed:
        return [target]
    return [row.name for row in await ask(config, lambda views: views.pipelines())]


async def refuse_unfinished(config: LoomConfig, pipeline: str) -> None:
    """Raise `ConfigurationError` where an earlier run of the pipeline waits to be finished."""
    for run in await ask(config, lambda views: views.unfinished(pipeline)):
        run_id, status = run.run_id, run.status
        raise ConfigurationError(
            f"{run_id} was {status}: finish it with `loom resume {run_id}`, or drop it with `loom cancel {run_id}`."
        )
