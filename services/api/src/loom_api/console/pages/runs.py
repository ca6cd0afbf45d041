"""Declares the list of runs, and how those go that have not ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from loom_api.console.shown import live
from loom_api.console.shown.asked import Status, Words
from loom_api.console.shown.done import Done, WhatWasDone
from loom_api.console.shown.done import begun as told_of
from loom_api.console.shown.rendering import Page, page
from loom_api.http import paging
from loom_api.http.answers import TaggedRoute
from loom_api.http.paging import After
from loom_api.reads import Reads
from loom_api.source import Source
from loom_common.domain.run.statuses import ShownStatus
from loom_coordinator.queries.run_filter import RunFilter

_ON_A_PAGE = 50


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/")
    @routes.get("/runs")
    async def list_runs(
        pipeline: Words = None,
        status: Status = None,
        after: After = None,
        done: WhatWasDone = None,
        begun: Annotated[int, Query(ge=0, le=1_000)] = 0,
        none: Annotated[int, Query(ge=0, le=1_000)] = 0,
        reads: Reads = asked,
    ) -> Page:
        """List the runs, the newest first, with a form that filters them."""
        known = await reads.pipeline_names()
        said = told_of(begun, none) if done is Done.REPLAY else None
        return page("runs.html", pipelines=known, done=said, **await _listed(reads, pipeline, status, after))

    @routes.get("/live/runs")
    async def list_runs_again(
        pipeline: Words = None, status: Status = None, after: After = None, reads: Reads = asked
    ) -> Page:
        """List the runs as a part of the page, which asks for it every few seconds."""
        return page("parts/runs.html", **await _listed(reads, pipeline, status, after))

    return routes


async def _listed(reads: Reads, pipeline: str | None, status: ShownStatus | None, after: str | None) -> dict[str, Any]:
    chosen = RunFilter(pipeline=pipeline, statuses=frozenset([status.value] if status else ()))
    found = await reads.run_page(chosen, _ON_A_PAGE + 1, paging.run_key(after))
    shown, following = paging.cut(found, _ON_A_PAGE, lambda run: (run.started_at.isoformat(), run.run_id))
    first = after is None and (status is None or status in live.UNDER_WAY)
    return {
        "runs": shown,
        "following": following,
        "under_way": await live.under_way(reads, pipeline) if first else [],
        "pipeline": pipeline,
        "status": status.value if status else None,
        "statuses": [each.value for each in ShownStatus],
        "after": after,
    }
