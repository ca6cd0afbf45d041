"""Declares the routes of pipelines."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom.pipeline_list import ListedPipeline
from loom_api.answers import Json, TaggedRoute
from loom_api.problems import documented
from loom_api.reads import Reads, Source
from loom_api.results import PipelineDocument
from loom_coordinator.queries.pipelines import PipelineVersion


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/pipelines", tags=["pipelines"], route_class=TaggedRoute, default_response_class=Json)
    asked = Depends(source.reads)

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

    return routes
