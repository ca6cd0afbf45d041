"""Declares the pages of costs and of alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from loom_api.console.charts.budgets import with_budgets
from loom_api.console.shown.asked import Blank, Words
from loom_api.console.shown.done import Done, WhatWasDone
from loom_api.console.shown.rendering import Page, page
from loom_api.http import paging
from loom_api.http.answers import TaggedRoute
from loom_api.http.paging import After
from loom_api.reads import Reads
from loom_api.routes.spending import Span
from loom_api.source import Source
from loom_coordinator.queries.alerts import AlertFilter
from loom_coordinator.queries.costs.spans import CostTotal, total

_ON_A_PAGE = 50
_SPANS = 60
"""The number of spans that a chart and a table show, the newest."""


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/costs")
    async def show_costs(pipeline: Words = None, by: Annotated[Span, Query()] = Span.DAY, reads: Reads = asked) -> Page:
        """Show what runs cost by day, week or month, and by pipeline, stage, model and purpose."""
        spans = await reads.costs(pipeline, by.value)
        names = await reads.pipeline_names()
        shown = list(reversed(spans[:_SPANS]))
        chart, budgets = with_budgets([(each.span, each.cost) for each in shown], [each.budget for each in shown])
        return page(
            "costs.html",
            spans=spans[:_SPANS],
            left_out=max(0, len(spans) - _SPANS),
            total=total(spans),
            saved=saved(total(spans)),
            chart=chart,
            budgets=budgets,
            by_pipeline=await reads.costs_by_pipeline() if pipeline is None else [],
            by_model=_added(span.cost_by_model for span in spans),
            by_stage=_added(span.cost_by_stage for span in spans),
            by_purpose=_added(span.cost_by_purpose for span in spans),
            pipeline=pipeline,
            pipelines=names,
            by=by.value,
        )

    @routes.get("/alerts")
    async def list_alerts(
        pipeline: Words = None,
        acknowledged: Annotated[bool | None, Blank, Query()] = None,
        after: After = None,
        done: WhatWasDone = None,
        reads: Reads = asked,
    ) -> Page:
        """List the alerts that runs have raised, the newest first."""
        chosen = AlertFilter(pipeline=pipeline, acknowledged=acknowledged)
        found = await reads.alert_page(chosen, _ON_A_PAGE + 1, paging.number_key(after))
        alerts, following = paging.cut(found, _ON_A_PAGE, lambda each: (each.id,))
        names = await reads.pipeline_names()
        said = "The alert is acknowledged." if done is Done.ACKNOWLEDGE else None
        return page(
            "alerts.html", chosen=chosen, alerts=alerts, following=following, after=after, pipelines=names, done=said
        )

    return routes


def saved(paid: CostTotal) -> float | None:
    """Return about what the answers that were reused would have cost in USD, at the mean price of the calls that were
    made; None where no call was."""
    return paid.reused * paid.cost / paid.made if paid.made else None


def _added(costs: Iterable[Mapping[str, float]]) -> list[tuple[str, float]]:
    """Return the sums by name, the greatest first."""
    sums: dict[str, float] = {}
    for each in costs:
        for name, cost in each.items():
            sums[name] = sums.get(name, 0.0) + cost
    return sorted(sums.items(), key=lambda one: -one[1])
