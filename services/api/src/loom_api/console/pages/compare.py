"""Declares the comparison of two runs."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom_api.console.shown import definitions
from loom_api.console.shown.asked import Words
from loom_api.console.shown.rendering import Page, page
from loom_api.http.answers import TaggedRoute
from loom_api.reads import Reads
from loom_api.running.scoring import Scoring
from loom_api.source import Source
from loom_common.errors import ConfigurationError
from loom_coordinator.db.run_rows import TERMINAL

_SHOWN = 20


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked, serving = Depends(source.reads), Depends(source.scoring)

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
            ended=all(each.status in TERMINAL for each in (first, second)),
            deltas=deltas,
            changed=changed,
            lines=definitions.changes(definitions.as_yaml(first.definition), definitions.as_yaml(second.definition)),
        )

    @routes.get("/compare/outputs")
    async def compare_outputs(a: Words = None, b: Words = None, scoring: Scoring = serving) -> Page:
        """Compare what two runs made of the records that both have, as a part of the page. It reads their sources."""
        if a is None or b is None:
            raise ConfigurationError("Name two runs: /compare/outputs?a=run_...&b=run_...")
        return page("parts/outputs.html", a=a, b=b, found=await scoring.diff(a, b, _SHOWN))

    return routes
