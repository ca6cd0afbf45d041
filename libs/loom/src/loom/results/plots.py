"""Draws the scores of an evaluator as SVG: numbers in, text out. The page says which colours its classes have."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 420, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 26, 30
_BINS = 20
"""The number of bars. A score of 1 stands in the last one."""


def binned(counts: Sequence[int]) -> list[int]:
    """Add up a fine histogram of scores from 0 to 1, whose last number is that of the scores of exactly 1, to as many
    bars as are drawn."""
    steps = len(counts) - 1
    bars = [0] * _BINS
    for position, number in enumerate(counts):
        bars[min(position * _BINS // steps, _BINS - 1)] += number
    return bars


def histogram(name: str, counts: Sequence[int], threshold: float | None) -> str:
    """Draw how many records got which score, and the threshold, from which on a score passes. A bar in which the
    threshold lies has the colour of those below it."""
    bars = binned(counts)
    most = max([*bars, 1])
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    floor = _TOP + high
    parts = []
    for share in (0.5, 1.0):
        y = floor - share * high
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        if most * share >= 1:
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * share:,.0f}</text>')
    for position, number in enumerate(bars):
        if not number:
            continue
        begin, end = position / _BINS, (position + 1) / _BINS
        # The last bar holds the scores of 1, which pass under every threshold.
        passes = threshold is None or begin >= threshold - 1e-9 or (position == _BINS - 1 and bars[-1] == counts[-1])
        tall = max(2.0, number / most * high)
        parts.append(
            f'<rect class="{"pass" if passes else "miss"}" x="{_LEFT + begin * wide + 1:.1f}" y="{floor - tall:.1f}" '
            f'width="{wide / _BINS - 2:.1f}" height="{tall:.1f}"><title>{number:,} with a score from {begin:.2f} to '
            f"{end:.2f}</title></rect>"
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _RIGHT}" y2="{floor}"/>')
    parts += [
        f'<text x="{_LEFT + share * wide:.1f}" y="{floor + 18}" text-anchor="middle">{share:g}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    if threshold is not None:
        x = _LEFT + threshold * wide
        anchor = "end" if threshold > 0.5 else "start"
        shift = -5 if threshold > 0.5 else 5
        parts.append(
            f'<line class="threshold" x1="{x:.1f}" y1="{_TOP - 12}" x2="{x:.1f}" y2="{floor}"/>'
            f'<text x="{x + shift:.1f}" y="{_TOP - 4}" text-anchor="{anchor}">threshold {threshold:g}</text>'
        )
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(f"Scores of {name}")}">\n{inside}\n</svg>'
    )
