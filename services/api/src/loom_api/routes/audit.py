"""Declares the route of what was done, and by whom."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from loom_api.http import paging
from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.http.paging import After, Limit
from loom_api.reads import Reads
from loom_api.results.paging import Page
from loom_api.source import Source
from loom_coordinator.db.audit_log import AuditLine


def router(source: Source) -> Routes:
    """Return the route."""
    routes = Routes("audit", route_class=TaggedRoute)
    asked = Depends(source.reads)

    @routes.get("/audit", response_model=Page[AuditLine])
    async def list_acts(
        user: Annotated[str | None, Query(description="Only what this user did.")] = None,
        limit: Limit = 50,
        after: After = None,
        reads: Reads = asked,
    ) -> Json:
        """List what was commanded over HTTP, who signed in, and which tokens were made and revoked, newest first."""
        found = await reads.audit_page(user, limit + 1, paging.number_key(after))
        return Json(paging.page(found, limit, lambda each: (each.id,)))

    return routes
