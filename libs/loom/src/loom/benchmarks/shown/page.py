"""Makes the page of a benchmark: one HTML file that needs nothing else, from no network."""

from __future__ import annotations

from importlib import resources
from typing import Any

from loom.benchmarks.figures.result import Benchmark, Measured
from loom.benchmarks.shown.plots import Point, frontier, reliability_plot
from loom.benchmarks.shown.words import figure, joined_lines, proposal_line, stopped_line, unstated_line
from loom_common.console.numbers import count, latency, money

_QUALITY = {"classes": "accuracy", "verdicts": "agreement", "numbers": "mean absolute error, negative"}


def page(found: Benchmark) -> str:
    """Return the page. Every text of the user's is escaped."""
    return render("benchmark.html", found=found, plot=frontier(_points(found), _QUALITY[found.kind]))


def render(template: str, **values: Any) -> str:
    """Return a template of this package, filled in; what is put in is escaped, unless it is a plot."""
    import jinja2

    folder = resources.files(__package__) / "templates"
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(
        figure=figure,
        count=count,
        money=money,
        latency=latency,
        joined_lines=joined_lines,
        stopped_line=stopped_line,
        proposal_line=proposal_line,
        unstated_line=unstated_line,
        reliability_plot=reliability_plot,
        shade=_shade,
        **values,
    )


def _points(found: Benchmark) -> list[Point]:
    return [point for at, each in enumerate(found.candidates, 1) if (point := _point(at, each)) is not None]


def _point(number: int, each: Measured) -> Point | None:
    price = each.price.per_thousand
    if each.classes is not None:
        quality = each.classes.accuracy
    elif each.numbers is not None:
        mae = each.numbers.mae
        quality = type(mae)(*(None if value is None else -value for value in (mae.value, mae.high, mae.low)))
    else:
        return None
    if price is None or quality.value is None:
        return None
    low = quality.value if quality.low is None else quality.low
    high = quality.value if quality.high is None else quality.high
    return Point(number, each.name, price, quality.value, low, high, each.on_frontier)


def _shade(number: int, of_row: list[int]) -> str:
    """Return how strongly a cell of a confusion matrix is coloured: by its share of the row."""
    total = sum(of_row)
    return f"{number / total:.2f}" if total else "0"
