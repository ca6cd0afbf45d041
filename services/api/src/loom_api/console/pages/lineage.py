"""Declares the graph of where the records of all pipelines come from and go."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter, Depends

from loom_api.console.charts import graph
from loom_api.console.charts.graph import Graph, Node
from loom_api.console.shown.rendering import Page, page
from loom_api.console.shown.words import destination
from loom_api.http.answers import TaggedRoute
from loom_api.reads import Reads
from loom_api.source import Source
from loom_common.domain.values.plural import counted
from loom_coordinator.queries.lineage import Lineage

_LONGEST = 30


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/lineage")
    async def show_lineage(reads: Reads = asked) -> Page:
        """Show from where to where the newest ended run of each pipeline brought its records."""
        newest = await reads.newest_lineage()
        graph = drawn(newest, await reads.bases(), source.config.project)
        return page("lineage.html", graph=graph, newest=newest)

    return routes


def drawn(newest: Sequence[tuple[str, Lineage]], bases: Mapping[str, str], project: Path) -> Graph:
    """Return the graph of pipelines with their newest lineage. What one writes and another reads is one box. `bases`
    holds the folder of each pipeline, below the project's or whole. Pure."""
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []

    def store(location: str | None, base: str) -> str:
        shown = destination(_placed(location, base, project))
        key = f"store {shown}"
        nodes.setdefault(key, Node(key, _cut(shown), shown))
        return key

    for name, each in newest:
        key = f"pipeline {name}"
        base = bases.get(name, "")
        start, end = store(each.input_source, base), store(each.output_destination, base)
        loaded = counted(each.output_record_count or 0, "record")
        nodes[key] = Node(key, _cut(name), f"{loaded} loaded by {each.run_id}", f"/runs/{each.run_id}")
        edges += [(start, key), (key, end)]
    return graph.laid_out(nodes, edges)


def _placed(location: str | None, base: str, project: Path) -> str | None:
    """Return a location; the path of a file as one below the project's folder, or as a whole one where it lies
    elsewhere, because pipelines in other folders mean other files by the same relative path."""
    if not location or ":" in location.partition("/")[0]:
        return location
    path = os.path.normpath(project / base / location)
    return path.removeprefix(f"{project}/")


def _cut(text: str) -> str:
    """Return the end of a location, which tells most of it."""
    return text if len(text) <= _LONGEST else f"…{text[-_LONGEST + 1 :]}"
