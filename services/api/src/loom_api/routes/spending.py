"""Declares the routes of costs and of alerts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Path, Query

from loom_api.http import paging
from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.http.paging import After, Limit
from loom_api.http.problems import documented
from loom_api.reads import Reads
from loom_api.results.paging import Page
from loom_api.results.spending import Costs, CostsDocument
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_coordinator.queries.alerts import AlertFilter, AlertLine
from loom_coordinator.queries.costs.spans import total


class Span(StrEnum):
    """Lists the spans of time that costs are added up by."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


OfPipeline = Annotated[str | None, Query(description="Only this pipeline's.")]


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes(route_class=TaggedRoute)
    asked, ordered = Depends(source.reads), Depends(source.commands)

    @routes.get("/costs", response_model=CostsDocument, tags=["costs"])
    async def show_costs(
        pipeline: OfPipeline = None,
        by: Annotated[Span, Query(description="The span of time to add up by.")] = Span.DAY,
        reads: Reads = asked,
    ) -> Json:
        """Show what runs cost by day, week or month, and in each by stage, model and purpose; the newest first."""
        spans = await reads.costs(pipeline, by.value)
        return Json(Costs(spans, total(spans)))

    @routes.get("/alerts", response_model=Page[AlertLine], tags=["alerts"])
    async def list_alerts(
        pipeline: OfPipeline = None,
        run_id: Annotated[str | None, Query(description="Only this run's.")] = None,
        severity: Annotated[str | None, Query(description="Only those of this severity.")] = None,
        acknowledged: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
        limit: Limit = 50,
        after: After = None,
        reads: Reads = asked,
    ) -> Json:
        """List the alerts that runs have raised, the newest first."""
        chosen = AlertFilter(pipeline, run_id, severity, acknowledged)
        found = await reads.alert_page(chosen, limit + 1, paging.number_key(after))
        return Json(paging.page(found, limit, lambda each: (each.id,)))

    @routes.post("/alerts/{alert_id}/acknowledge", response_model=AlertLine, responses=documented(404), tags=["alerts"])
    async def acknowledge_alert(alert_id: Annotated[int, Path(ge=0, lt=1 << 63)], commands: Commands = ordered) -> Json:
        """Note that somebody has seen an alert. Who did so first stays noted."""
        return Json(await commands.acknowledge(alert_id))

    return routes
