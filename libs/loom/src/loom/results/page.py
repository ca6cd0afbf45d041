"""Makes the page of a run: one HTML file that needs nothing else, from no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from loom.results.plots import histogram
from loom_common.console.numbers import count, duration, latency, moment, money
from loom_coordinator.queries.scores.histograms import ScoreHistogram

_ENDS = ("loaded", "filtered", "unnested", "grouped", "rejected", "quarantined", "skipped", "cancelled")
"""Lists what may become of a record, in the order in which it is drawn."""


def page(run: Mapping[str, Any], scores: Sequence[ScoreHistogram]) -> str:
    """Return the page of a run, whose report is `run`. Every text of the user's is escaped."""
    import jinja2

    folder = resources.files(__package__) / "templates"
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    thresholds = {name: each["threshold"] for name, each in run["evaluation"].items()}
    plots = [_plot(each, thresholds.get(each.evaluator_name)) for each in scores]
    return environment.get_template("run.html").render(
        run=run,
        plots=plots,
        ends=_shares([(name, run["records"].get(name, 0)) for name in _ENDS]),
        costs=_shares([(_said(each), each["cost"]) for each in run["spending"]], of_most=True),
        latencies=_latencies(run),
        count=count,
        duration=duration,
        latency=latency,
        moment=moment,
        money=money,
    )


def _plot(scores: ScoreHistogram, threshold: float | None) -> tuple[str, int, str]:
    name = scores.evaluator_name
    return name, scores.records, histogram(name, scores.counts, threshold)


def _said(calls: Mapping[str, Any]) -> str:
    return f"{calls['purpose']} by {calls['model']}: {count(calls['made'])} made, {count(calls['reused'])} used again"


def _shares(found: Sequence[tuple[str, float]], *, of_most: bool = False) -> list[tuple[str, float, float]]:
    """Return what is not nothing, with its percentage of all, or of the most of them."""
    kept = [(name, number) for name, number in found if number > 0 or of_most]
    whole = max((number for _, number in kept), default=0) if of_most else sum(number for _, number in kept)
    return [(name, number, 100 * number / whole if whole else 0.0) for name, number in kept]


def _latencies(run: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return percentiles in seconds, with their percentage of the longest."""
    waited = run.get("waited") or {}
    found = [(f"{name} to answer", run["latency"].get(name)) for name in ("p50", "p95", "p99")]
    found += [(f"{name} waiting besides", waited.get(name)) for name in ("p50", "p95", "p99")]
    return _shares([(name, seconds) for name, seconds in found if seconds is not None], of_most=True)
