"""Declares the page of a cluster's services and queues."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom_api.console.shown.rendering import Page, page
from loom_api.http.answers import TaggedRoute
from loom_api.reads import Reads
from loom_api.source import Source


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/fleet")
    async def show_fleet(reads: Reads = asked) -> Page:
        """Show services, replicas, queues and prefetch limits; or, embedded, how to come to a cluster."""
        if not reads.has_cluster:
            return page("fleet.html", fleet=None)
        return await _shown("fleet.html", reads)

    @routes.get("/live/fleet")
    async def show_fleet_again(reads: Reads = asked) -> Page:
        """Show the fleet as a part of its page, which asks for it every few seconds."""
        return await _shown("parts/fleet.html", reads)

    return routes


async def _shown(template: str, reads: Reads) -> Page:
    reasons = {each.queue: each.reason for each in await reads.prefetch_limits()}
    return page(template, fleet=await reads.fleet(), reasons=reasons, advice=await reads.scale_advice())
