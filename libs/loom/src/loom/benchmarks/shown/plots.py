"""Draws the plots of a benchmark as SVG: numbers in, text out. The page says which colours its classes have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from loom_common.statistics.reliability import ReliabilityBin

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 20, 48
_SIDE = 280
_FREE_SHARE = 0.1
"""The share of the width, at the left, where candidates stand that cost nothing."""


@dataclass(frozen=True, slots=True)
class Point:
    """Describes a candidate in the plot of cost and quality."""

    number: int
    """The number beside the point, by which a table names it."""
    name: str
    cost: float
    """The USD that 1,000 records cost."""
    quality: float
    low: float
    high: float
    on_frontier: bool


def frontier(points: Sequence[Point], quality: str) -> str:
    """Draw cost against quality, with the interval of each candidate. Cost has a logarithmic scale; what costs nothing
    stands at the left end."""
    if not points:
        return ""
    priced = [each.cost for each in points if each.cost > 0]
    least, most = _decades(priced)
    bottom, top = _span(points)
    free = any(each.cost <= 0 for each in points)
    begin = _LEFT + (_FREE_SHARE * (_WIDTH - _LEFT - _RIGHT) if free else 0)

    def across(cost: float) -> float:
        if cost <= 0:
            return _LEFT + 18
        share = (math.log10(cost) - least) / (most - least)
        return begin + share * (_WIDTH - _RIGHT - begin)

    def down(value: float) -> float:
        return _TOP + (1 - (value - bottom) / (top - bottom)) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_axes(quality, "USD for 1,000 records (logarithmic)")]
    parts += [_tick_left(down(value), f"{value:.2f}") for value in _steps(bottom, top)]
    parts += [_tick_below(across(10.0**power), f"${10.0**power:g}") for power in range(least, most + 1) if priced]
    if free:
        parts.append(_tick_below(_LEFT + 18, "$0"))
    best = sorted((each for each in points if each.on_frontier), key=lambda each: each.cost)
    if len(best) > 1:
        line = " ".join(f"{across(each.cost):.1f},{down(each.quality):.1f}" for each in best)
        parts.append(f'<polyline class="frontier" points="{line}"/>')
    for each in points:
        x, y = across(each.cost), down(each.quality)
        kind = "best" if each.on_frontier else "other"
        anchor, shift = ("end", -9) if x > _WIDTH * 0.7 else ("start", 9)
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{down(each.low):.1f}" y2="{down(each.high):.1f}"/>'
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(each.name)}: {each.quality:.3f} '
            f"[{each.low:.3f}, {each.high:.3f}]</title></circle>"
            f'<text x="{x + shift:.1f}" y="{y - 7:.1f}" text-anchor="{anchor}">{each.number}</text>'
        )
    return _svg(_WIDTH, _HEIGHT, "Cost and quality of the candidates", parts)


def reliability_plot(bins: Sequence[ReliabilityBin], title: str) -> str:
    """Draw what came true of what was stated: a calibrated confidence gives points on the diagonal. The larger a point,
    the more records it stands for."""
    most = max((each.records for each in bins), default=1)
    inner = _SIDE - 60

    def at(x: float, y: float) -> tuple[float, float]:
        return 44 + x * inner, 12 + (1 - y) * inner

    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts = [
        f'<rect class="frame" x="{x0:.1f}" y="{y1:.1f}" width="{inner}" height="{inner}"/>',
        f'<line class="diagonal" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>',
        f'<text x="{(x0 + x1) / 2:.1f}" y="{_SIDE - 8}" text-anchor="middle">stated</text>',
        f'<text transform="translate(12 {(y0 + y1) / 2:.1f}) rotate(-90)" text-anchor="middle">came true</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        x, _ = at(share, 0)
        _, y = at(0, share)
        parts.append(f'<text x="{x:.1f}" y="{y0 + 16:.1f}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{x0 - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>')
    for each in bins:
        x, y = at(each.stated, each.true)
        radius = 3 + 8 * math.sqrt(each.records / most)
        parts.append(
            f'<circle class="bin" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{each.records:,} records: '
            f"{each.stated:.2f} stated, {each.true:.2f} came true</title></circle>"
        )
    return _svg(_SIDE, _SIDE, title, parts)


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">\n{inside}\n</svg>'
    )


def _axes(left: str, below: str) -> str:
    bottom = _HEIGHT - _BOTTOM
    return (
        f'<line class="axis" x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{bottom}"/>'
        f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}"/>'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(below)}</text>'
        f'<text transform="translate(16 {(_TOP + bottom) / 2:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(left)}</text>"
    )


def _tick_left(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _tick_below(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{text}</text>'


def _decades(costs: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten that hold all costs."""
    if not costs:
        return -2, 0
    least, most = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    return (least, most) if most > least else (least, least + 1)


def _span(points: Sequence[Point]) -> tuple[float, float]:
    low, high = min(each.low for each in points), max(each.high for each in points)
    step = _step(low, high)
    return math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step


def _step(low: float, high: float) -> float:
    wide = max(high - low, 1e-6)
    return next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, math.inf) if wide / step <= 6)


def _steps(bottom: float, top: float) -> list[float]:
    step = _step(bottom, top)
    return [bottom + number * step for number in range(round((top - bottom) / step) + 1)] if step < math.inf else [top]
