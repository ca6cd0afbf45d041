"""Declares the routes of costs and of alerts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from loom_api import paging
from loom_api.answers import Json, TaggedRoute
from loom_api.paging import After, Limit
from loom_api.reads import Reads, Source
from loom_api.results import Costs, CostsDocument, Page
from loom_coordinator.queries.alerts import AlertFilter, AlertLine
from loom_coordinator.queries.costs.spans import total


class Span(StrEnum):
    """Lists the spans of time that costs are added up by."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


OfPipeline = Annotated[str | None, Query(description="Only this pipeline's.")]


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=TaggedRoute, default_response_class=Json)
    asked = Depends(source.reads)

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

    return routes
