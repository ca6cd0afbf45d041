"""Asks for pipelines, and for the versions of what they ask models with."""

from __future__ import annotations

import asyncio

from loom import pipeline_list
from loom.pipeline_list import ListedPipeline
from loom.project.catalog import nothing_named
from loom_api.reads.seen import SeenReads
from loom_api.results.pipelines import PipelineDetails
from loom_common.domain.access import Action, Kind
from loom_common.errors import NotFound
from loom_coordinator.queries import pipelines
from loom_coordinator.queries.pipeline_figures import PipelineFigures
from loom_coordinator.queries.versions import contexts
from loom_coordinator.queries.versions.contexts import ContextVersion


class PipelineReads(SeenReads):
    """Asks for pipelines."""

    async def pipeline(self, name: str) -> PipelineDetails:
        """Return a pipeline with its versions. Raises `NotFound`."""
        listed = await self.listed()
        line = next((each for each in listed if each.name == name), None)
        if line is None:
            raise nothing_named(name, {each.name for each in listed})
        async with self._engine.connect() as connection:
            versions = await pipelines.versions(connection, name)
        return PipelineDetails(line, versions)

    async def figures(self, name: str, run_id: str | None, newest: int) -> PipelineFigures:
        """Return what one run of a pipeline comes to, or its newest ones together. Raises `NotFound`."""
        await self.pipeline(name)
        found = await self.metrics(name, run_id, newest)
        if found is None:
            what = "" if run_id is None else f" {run_id}"
            raise NotFound(f"No run{what} of '{name}' is known here. GET /api/v1/runs lists the runs.")
        return found

    async def contexts(self, name: str) -> list[ContextVersion]:
        """Return the versions of the context files of a pipeline. Raises `NotFound` for an unknown pipeline."""
        await self.pipeline(name)
        async with self._engine.connect() as connection:
            return await contexts.listed(connection, name)

    async def context(self, name: str, version: str, path: str | None) -> ContextVersion:
        """Return one version of a context file. Raises `NotFound`, and `ConfigurationError` where several are meant."""
        return contexts.meant(await self.contexts(name), version, path)

    async def pipeline_names(self) -> list[str]:
        """Return the names of the pipelines that have run here."""
        async with self._engine.connect() as connection:
            names = await pipelines.names(connection)
        kinds = (Kind.PIPELINES, Kind.RUNS, Kind.QUARANTINE, Kind.COSTS, Kind.ALERTS)
        return [name for name in names if any(self._viewer.may(kind, Action.READ, name) for kind in kinds)]

    async def listed(self) -> list[ListedPipeline]:
        """Return the pipelines of the project's folders, and those that have run."""
        found = await asyncio.to_thread(
            pipeline_list.pipelines, self._config, await self.pipelines(), self._config.project
        )
        return [each for each in found if self._viewer.may(Kind.PIPELINES, Action.READ, each.name)]

    async def bases(self) -> dict[str, str]:
        """Return the folder of each pipeline that has run, which its relative paths start from."""
        async with self._engine.connect() as connection:
            return await pipelines.bases(connection)
