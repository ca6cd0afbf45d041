"""Declares the comparison of two runs."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom_api.console.shown import definitions
from loom_api.console.shown.asked import Words
from loom_api.console.shown.rendering import Page, page
from loom_api.http.answers import TaggedRoute
from loom_api.reads import Reads
from loom_api.source import Source


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/compare")
    async def compare(a: Words = None, b: Words = None, reads: Reads = asked) -> Page:
        """Compare two runs: their counts, costs, definitions, and the scores of the records that both evaluated."""
        if a is None or b is None:
            return page("compare.html", a=a, b=b, before=None, after=None)
        before, after = await reads.shown_run(a), await reads.shown_run(b)
        first, second = await reads.known(a), await reads.known(b)
        deltas, changed = await reads.score_changes(a, b)
        return page(
            "compare.html",
            a=a,
            b=b,
            before=before,
            after=after,
            deltas=deltas,
            changed=changed,
            lines=definitions.changes(definitions.as_yaml(first.definition), definitions.as_yaml(second.definition)),
        )

    return routes
