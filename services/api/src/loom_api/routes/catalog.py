"""Declares the routes of what a pipeline may name here. They import packages, which takes long, and so run in
threads."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from loom import connector_list, plugins
from loom.connector_list import Connector
from loom.plugins import Kind, Listed
from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.source import Source


def router(_source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("catalog", route_class=TaggedRoute)

    @routes.get("/connectors", response_model=list[Connector])
    def list_connectors() -> Json:
        """List storages, formats, databases and brokers, with their options and what they guarantee."""
        return Json(connector_list.connectors())

    @routes.get("/plugins", response_model=list[Listed])
    def list_plugins(
        kind: Annotated[Kind | None, Query(description="Only plugins of this kind.")] = None,
    ) -> Json:
        """List what a pipeline may name here: Loom's own, and what installed packages offer."""
        return Json(plugins.list_plugins(kind))

    return routes
