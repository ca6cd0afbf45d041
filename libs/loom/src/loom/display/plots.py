"""Draws what a run came to as SVG: its records by their end, and the scores of its evaluators."""

from __future__ import annotations

from collections.abc import Mapping

from loom_common.contracts.v1 import EvaluatorSummary
from loom_common.domain.json_values.html_tables import text_of

_ENDS = {
    "loaded": "#2e9e5b",
    "filtered": "#8a94a6",
    "unnested": "#b9c2d0",
    "grouped": "#8fa1bd",
    "rejected": "#e0a100",
    "quarantined": "#d64545",
    "skipped": "#a58bd6",
    "cancelled": "#5c6b7f",
}
_WIDTH = 640
_NAMES = 190
_SCALE = 300
_LINE = 26


def records_by_end(records: Mapping[str, int]) -> str:
    """Draw a bar of what became of the records, each part as long as its share, with a legend of the counts."""
    counts = {end: records.get(end, 0) for end in _ENDS if records.get(end, 0)}
    total = sum(counts.values())
    if not total:
        return ""
    at, parts, told = 0.0, [], []
    for end, count in counts.items():
        width = _WIDTH * count / total
        words = f"{end} {count:,}"
        place = f'x="{at:.2f}" y="0" width="{width:.2f}" height="18" fill="{_ENDS[end]}"'
        parts.append(f"<rect {place}><title>{words}</title></rect>")
        told.append(f'<span style="color:{_ENDS[end]}">&#9632;</span> {words}')
        at += width
    legend = f'<div style="margin:2px 0 8px">{" &nbsp; ".join(told)}</div>'
    return _svg(18, ", ".join(f"{end} {count:,}" for end, count in counts.items()), "".join(parts)) + legend


def scores(evaluators: Mapping[str, EvaluatorSummary]) -> str:
    """Draw a line for each evaluator, from 0 to 1: from the least to the greatest score, a bar of one standard
    deviation about the mean, and the threshold."""
    if not evaluators:
        return ""
    lines = [_scores_of(name, each, row * _LINE + 14) for row, (name, each) in enumerate(evaluators.items())]
    bottom = len(evaluators) * _LINE + 8
    axis = f'<line x1="{_x(0)}" y1="{bottom}" x2="{_x(1)}" y2="{bottom}" stroke="currentColor" stroke-opacity="0.4"/>'
    axis += "".join(
        f'<text x="{_x(at)}" y="{bottom + 13}" text-anchor="middle" {_FONT}>{at:g}</text>'
        for at in (0, 0.25, 0.5, 0.75, 1)
    )
    told = "; ".join(f"{name}: mean {each.mean:.3f}" for name, each in evaluators.items())
    return _svg(bottom + 18, f"Scores of evaluators. {told}", "".join(lines) + axis)


_FONT = 'font-size="11" font-family="sans-serif" fill="currentColor"'


def _scores_of(name: str, score: EvaluatorSummary, y: int) -> str:
    low, high = max(score.min, score.mean - score.std), min(score.max, score.mean + score.std)
    words = f"mean {score.mean:.3f}, from {score.min:.3f} to {score.max:.3f}"
    if score.pass_rate is not None:
        words += f", {score.pass_rate:.1%} reach {score.threshold:g}"
    bar = f'x="{_x(low)}" y="{y - 5}" width="{max(1.0, _x(high) - _x(low)):.2f}" height="10"'
    drawn = [
        f'<text x="0" y="{y + 4}" {_FONT}>{text_of(name if len(name) <= 30 else name[:29] + "…")}</text>',
        f'<line x1="{_x(score.min)}" y1="{y}" x2="{_x(score.max)}" y2="{y}" stroke="#4a78c4"/>',
        f'<rect {bar} fill="#4a78c4" fill-opacity="0.35"/>',
        f'<circle cx="{_x(score.mean)}" cy="{y}" r="4" fill="#4a78c4"/>',
    ]
    if score.threshold is not None:
        at = _x(score.threshold)
        drawn.append(f'<line x1="{at}" y1="{y - 9}" x2="{at}" y2="{y + 9}" stroke="#d64545" stroke-width="2"/>')
    if score.pass_rate is not None:
        drawn.append(f'<text x="{_x(1) + 14}" y="{y + 4}" {_FONT}>{score.pass_rate:.1%} pass</text>')
    return f"<g><title>{text_of(f'{name}: {words}')}</title>{''.join(drawn)}</g>"


def _x(value: float) -> float:
    return round(_NAMES + _SCALE * min(1.0, max(0.0, value)), 2)


def _svg(height: int, told: str, drawn: str) -> str:
    return (
        f'<svg role="img" aria-label="{text_of(told)}" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg">{drawn}</svg>'
    )
