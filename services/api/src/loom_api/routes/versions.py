"""Declares the routes of the texts that pipelines ask by: prompts and context files, by version."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.http.problems import documented
from loom_api.reads import Reads
from loom_api.source import Source
from loom_coordinator.queries.versions.contexts import ContextVersion
from loom_coordinator.queries.versions.differences import TextDifference, difference
from loom_coordinator.queries.versions.prompts import PromptVersion

OfFile = Annotated[str | None, Query(description="The path of the context file, where several have such a version.")]


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("pipelines", below="/pipelines/{name}", route_class=TaggedRoute, responses=documented(404))
    asked = Depends(source.reads)

    @routes.get("/prompts", response_model=list[PromptVersion])
    async def list_prompts(name: str, reads: Reads = asked) -> Json:
        """List the versions of a pipeline's prompt with their texts, the newest first."""
        await reads.pipeline(name)
        return Json(await reads.prompts(name))

    @routes.get("/prompts/{version}", response_model=PromptVersion)
    async def show_prompt(name: str, version: str, reads: Reads = asked) -> Json:
        """Show a version of a pipeline's prompt, by its name or the beginning of it or of its content's hash."""
        return Json(await reads.prompt(name, version))

    @routes.get("/prompts/{version}/diff/{other}", response_model=TextDifference)
    async def compare_prompts(name: str, version: str, other: str, reads: Reads = asked) -> Json:
        """Show the lines in which two versions of a pipeline's prompt differ."""
        first, second = await reads.prompt(name, version), await reads.prompt(name, other)
        return Json(difference(first.version, first.content, second.version, second.content))

    @routes.get("/contexts", response_model=list[ContextVersion])
    async def list_contexts(name: str, reads: Reads = asked) -> Json:
        """List the versions of a pipeline's context files with their texts, the newest first."""
        return Json(await reads.contexts(name))

    @routes.get("/contexts/{version}", response_model=ContextVersion)
    async def show_context(name: str, version: str, path: OfFile = None, reads: Reads = asked) -> Json:
        """Show a version of a context file, by the beginning of its content's hash."""
        return Json(await reads.context(name, version, path))

    @routes.get("/contexts/{version}/diff/{other}", response_model=TextDifference)
    async def compare_contexts(name: str, version: str, other: str, path: OfFile = None, reads: Reads = asked) -> Json:
        """Show the lines in which two versions of context files differ."""
        first, second = await reads.context(name, version, path), await reads.context(name, other, path)
        return Json(difference(first.version, first.content, second.version, second.content))

    return routes
