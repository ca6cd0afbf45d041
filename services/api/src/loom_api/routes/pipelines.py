"""Declares the routes of pipelines."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Query, Request

from loom.pipeline_list import ListedPipeline
from loom_api.bodies import Definition, RunOptions
from loom_api.http.answers import PREFIX, Json, Routes, TaggedRoute, started
from loom_api.http.idempotency import IdempotencyKey, once, start_key
from loom_api.http.lineage import ParentId, RootId, lineage_parent_of
from loom_api.http.problems import documented
from loom_api.reads import Reads
from loom_api.results.commands import Registered, RunStarted
from loom_api.results.pipelines import FiguresDocument, PipelineDocument
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_coordinator.queries.pipeline_figures import NEWEST
from loom_coordinator.queries.pipelines import PipelineVersion


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("pipelines", below="/pipelines", route_class=TaggedRoute)
    starting = Routes("pipelines", below="/pipelines", route_class=once(source.requests))
    asked, ordered = Depends(source.reads), Depends(source.commands)

    @routes.get("", response_model=list[ListedPipeline])
    async def list_pipelines(reads: Reads = asked) -> Json:
        """List the pipelines of the project's folders, and those that have run."""
        return Json(await reads.listed())

    @routes.get("/{name}", response_model=PipelineDocument, responses=documented(404))
    async def show_pipeline(name: str, reads: Reads = asked) -> Json:
        """Show a pipeline with the versions that have run."""
        return Json(await reads.pipeline(name))

    @routes.get("/{name}/versions", response_model=list[PipelineVersion], responses=documented(404))
    async def list_versions(name: str, reads: Reads = asked) -> Json:
        """List the versions of a pipeline that have run, the one that ran last first."""
        return Json((await reads.pipeline(name)).versions)

    @routes.get("/{name}/metrics", response_model=FiguresDocument, responses=documented(404))
    async def show_figures(
        name: str,
        run_id: Annotated[str | None, Query(description="Only this run.")] = None,
        last: Annotated[int, Query(ge=1, le=1000, description="So many of its newest runs.")] = NEWEST,
        reads: Reads = asked,
    ) -> Json:
        """Show what one run of a pipeline comes to, or its newest ones together."""
        return Json(await reads.figures(name, run_id, last))

    @starting.post("", status_code=201, response_model=Registered, responses=documented(409))
    async def register_pipeline(
        definition: Definition,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        commands: Commands = ordered,
    ) -> Json:
        """Enter a pipeline, or another version of it, without running it. It can then be run by its name. 422 has every
        mistake in `errors`, each with its line and column."""
        entered = await commands.register(definition)
        return Json(
            Registered(pipeline=entered.pipeline, version=entered.version),
            201,
            {"Location": f"{PREFIX}/pipelines/{quote(entered.pipeline)}"},
        )

    @starting.post("/{name}/run", status_code=202, response_model=RunStarted, responses=documented(404, 409))
    async def run_pipeline(
        request: Request,
        name: str,
        options: RunOptions | None = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        parent: ParentId = None,
        root: RootId = None,
        commands: Commands = ordered,
    ) -> Json:
        """Start a run of a pipeline of the project's folders, or of one that has run. `Location` names the run."""
        asked_by = lineage_parent_of(parent, root)
        begun = await commands.run(name, options or RunOptions(), start_key(request), asked_by)
        return started(begun.accepted, begun.notes)

    routes.extend(starting)
    return routes
