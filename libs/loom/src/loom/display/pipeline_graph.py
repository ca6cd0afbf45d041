"""Draws a pipeline as SVG: where records come from, the steps of the transform, the evaluators and their gate, and
where records go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.json_values.html_tables import text_of
from loom_common.domain.steps.drawn.drawing import levels
from loom_common.domain.steps.graph import graph_of
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import redacted
from loom_common.plugins.callables import MODULE

_WIDTH, _HEIGHT, _ACROSS, _DOWN = 190, 46, 46, 16
_LONGEST = 27
_OF_THIS_PROCESS = re.compile(rf"(?:python:)?{re.escape(MODULE)}:(\w+?)_[0-9a-f]{{8}}(?:_\d+)?(?:://)?")
_FONT = 'font-family="sans-serif" fill="currentColor"'


@dataclass(frozen=True, slots=True)
class _Box:
    """Represents one box of the drawing."""

    title: str
    below: str


def pipeline_svg(pipeline: Pipeline) -> str:
    """Return the drawing. Columns stand in the order of a record's way; boxes of one column may work at the same
    time."""
    columns = list(_columns(pipeline))
    rows = max(len(column) for column in columns)
    height = rows * (_HEIGHT + _DOWN) + _DOWN
    width = len(columns) * (_WIDTH + _ACROSS) - _ACROSS + 4
    drawn: list[str] = []
    for number, column in enumerate(columns):
        for box, middle in zip(column, _middles(len(column), height), strict=True):
            drawn.append(_drawn(box, 2 + number * (_WIDTH + _ACROSS), middle))
        if number:
            for start in _middles(len(columns[number - 1]), height):
                drawn += [_arrow(number, start, end) for end in _middles(len(column), height)]
    told = "; ".join(f"{box.title}: {box.below}" for column in columns for box in column)
    return (
        f'<svg role="img" aria-label="{text_of(f"{pipeline.name}. {told}")}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">{"".join(drawn)}</svg>'
    )


def _columns(pipeline: Pipeline) -> Sequence[list[_Box]]:
    steps = getattr(pipeline.transform, "steps", None)
    columns = [[_Box("extract", _spoken(pipeline.extract.source))]]
    if steps:
        columns += [
            [_Box(node.name, _said(steps[node.at])) for node in level] for level in levels(graph_of(list(steps)))
        ]
    else:
        columns.append([_Box("transform", _said(pipeline.transform))])
    if pipeline.evaluate is not None:
        number, gate = len(pipeline.evaluate.evaluators), _spoken(pipeline.evaluate.quality_gate.type)
        columns.append([_Box("evaluate", f"{counted(number, 'evaluator')}, {gate}")])
    columns.append([_Box("load", _spoken(pipeline.load.destination))])
    return columns


def _said(transform: Any) -> str:
    made_by = getattr(transform, "made_by", None)
    return f"{_spoken(transform.type)} {_spoken(made_by)}" if made_by else _spoken(transform.type)


def _spoken(name: str) -> str:
    """Return a name, or that of a location without its secrets. An object of this process is called as in its code."""
    return _OF_THIS_PROCESS.sub(r"\1", redacted(name))


def _middles(boxes: int, height: int) -> list[float]:
    """Return the middles of so many boxes, one below the other."""
    return [height * (2 * number + 1) / (2 * boxes) for number in range(boxes)]


def _drawn(box: _Box, x: float, middle: float) -> str:
    y = middle - _HEIGHT / 2
    return (
        f"<g><title>{text_of(f'{box.title}: {box.below}')}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#4a78c4" fill-opacity="0.12" '
        'stroke="#4a78c4"/>'
        f'<text x="{x + 10}" y="{y + 19}" font-size="13" font-weight="bold" {_FONT}>{_short(box.title, 22)}</text>'
        f'<text x="{x + 10}" y="{y + 36}" font-size="11" {_FONT}>{_short(box.below, _LONGEST)}</text></g>'
    )


def _short(words: str, longest: int) -> str:
    return text_of(words if len(words) <= longest else f"{words[: longest - 1]}…")


def _arrow(column: int, start: float, end: float) -> str:
    x = 2 + column * (_WIDTH + _ACROSS)
    return (
        f'<line x1="{x - _ACROSS}" y1="{start}" x2="{x - 7}" y2="{end}" stroke="currentColor" stroke-opacity="0.6"/>'
        f'<path d="M{x - 8},{end - 4} L{x},{end} L{x - 8},{end + 4} Z" fill="currentColor" fill-opacity="0.6"/>'
    )
