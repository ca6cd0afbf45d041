"""Places the boxes and arrows of a lineage graph: what is read stands to the left of what is written from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BOX_WIDTH = 220
BOX_HEIGHT = 44
_GAP_X = 70
_GAP_Y = 18
_MARGIN = 8


@dataclass(frozen=True, slots=True)
class Node:
    """Describes a store of rows, or a pipeline that reads one and writes another."""

    key: str
    title: str
    about: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Says where a node is drawn, by the place of its left upper corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """Leads from the right side of one box to the left side of another."""

    path: str
    """The commands of an SVG path."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Holds a graph that is laid out."""

    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    width: float
    height: float


def laid_out(nodes: Mapping[str, Node], edges: Iterable[tuple[str, str]]) -> Graph:
    """Return the graph with each node in the column after the last of those that lead to it. Circles are cut where they
    close."""
    edges = [(start, end) for start, end in dict.fromkeys(edges) if start != end]
    depth = _depths(nodes, edges)
    columns: dict[int, list[str]] = {}
    for key in nodes:
        columns.setdefault(depth[key], []).append(key)
    places = {
        key: (_MARGIN + level * (BOX_WIDTH + _GAP_X), _MARGIN + row * (BOX_HEIGHT + _GAP_Y))
        for level, column in columns.items()
        for row, key in enumerate(_near_their_sources(column, edges, columns.get(level - 1, [])))
    }
    boxes = [Box(nodes[key], x, y) for key, (x, y) in places.items()]
    return Graph(
        boxes=boxes,
        arrows=[Arrow(_path(places[start], places[end])) for start, end in edges],
        width=max((box.x for box in boxes), default=0) + BOX_WIDTH + _MARGIN,
        height=max((box.y for box in boxes), default=0) + BOX_HEIGHT + _MARGIN,
    )


def _depths(nodes: Mapping[str, Node], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the column of each node. Each pass moves nodes to the right of what leads to them; a node of a circle
    stays after as many passes as there are nodes."""
    depth = dict.fromkeys(nodes, 0)
    for _ in range(min(len(nodes), 50)):
        moved = False
        for start, end in edges:
            if depth[end] <= depth[start] < len(nodes):
                depth[end], moved = depth[start] + 1, True
        if not moved:
            break
    used = sorted(set(depth.values()))
    return {key: used.index(level) for key, level in depth.items()}


def _near_their_sources(column: Sequence[str], edges: Sequence[tuple[str, str]], before: Sequence[str]) -> list[str]:
    """Return a column in the order of what leads to its nodes in the column before, so that few arrows cross."""
    rows = {key: row for row, key in enumerate(before)}

    def row_of(key: str) -> float:
        found = [rows[start] for start, end in edges if end == key and start in rows]
        return sum(found) / len(found) if found else len(rows)

    return sorted(column, key=row_of)


def _path(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT / 2
    bend = max(30.0, abs(x2 - x1) / 2)
    return f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
