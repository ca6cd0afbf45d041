"""Keeps what the benches measured, and shows it as one table, as JSON and as a plot.

`make bench` names a folder by LOOM_BENCH_RESULTS. Each bench adds a line to `figures.jsonl` there for each figure, with
the load of the machine; `python -m bench.figures` prints the table that docs/performance.md has, with the newest of
each figure, and writes them as `figures.json` and `figures.svg`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "LOOM_BENCH_RESULTS"
_FILE = "figures.jsonl"
_WIDTH, _ROW, _LEFT = 960, 26, 520
_MOST_SHOWN = 2.0
"""Says how many times its goal a bar shows at most."""


class Figure(NamedTuple):
    """Describes something that is measured."""

    words: str
    unit: str = ""
    goal: float | None = None
    less: bool = False
    """Tells whether less is better."""

    def reached(self, value: float) -> float | None:
        """Return what was reached of the goal: 1 is the goal, and more is better. None without a goal."""
        if self.goal is None:
            return None
        return self.goal / value if self.less else value / self.goal


_BATCHES = (50, 100, 500)
FIGURES: Mapping[str, Figure] = {
    "model_bound.embedded": Figure("a job whose time is the model's, embedded: share of the ideal rate", "", 0.95),
    "model_bound.bare": Figure("the same by a bare aiohttp script"),
    "model_bound.cluster": Figure("the same over RabbitMQ into Postgres", "", 0.95),
    "model_bound.cpu": Figure("CPU of that job, embedded, a record", "ms", 1.0, less=True),
    **{f"hops.{n}": Figure(f"CSV over RabbitMQ into Postgres, every hop, batch {n}: share", "", 0.6) for n in _BATCHES},
    **{f"as_run.{n}": Figure(f"the same as a user runs it, batch {n}: share", "", 1.0) for n in _BATCHES},
    **{
        f"{way}.{n}.moving": Figure(f"{words}, batch {n}, by the bare loop's clock: share")
        for way, words in {
            "hops": "CSV over RabbitMQ into Postgres, every hop",
            "as_run": "CSV over RabbitMQ into Postgres, as a user runs it",
        }.items()
        for n in _BATCHES
    },
    **{f"sqlite.{n}": Figure(f"CSV into SQLite, embedded, batch {n}: share", "", 0.35) for n in _BATCHES},
    "model_calls.times": Figure("CPU of the dearest kind of call, as a multiple of bare aiohttp's", "times"),
    "arbiter": Figure("evaluations of Arbiter by Loom's client, as a multiple of its own", "times", 20),
    "hostile": Figure("a run at a hostile provider, as a share of one at a friendly one"),
    "coordinator": Figure("CPU of the coordinator for a batch, with the most batches behind it", "ms"),
    "extractors.two": Figure("two extractors as a multiple of one", "times", 1.6),
    "extractors.pieces": Figure("four partitions in one extractor as a multiple of one", "times"),
    "transformers": Figure("four transformers at a model of 1 s, as a share of four times one", "", 0.95),
    "memory": Figure("memory of the largest service of a cluster, at most", "MB", 150, less=True),
    "batches.peak": Figure("memory of a run by a batch API, at most", "MB"),
    "start_up.loom --help": Figure("`loom --help`", "s", 0.5, less=True),
    "start_up.loom validate": Figure("`loom validate`", "s", 0.6, less=True),
    "start_up.loom status": Figure("`loom status`", "s", 0.5, less=True),
    "start_up.a run of 5 records": Figure("a run of 5 records", "s", 1.0, less=True),
    "start_up.loom serve, to the page of runs": Figure("`loom serve`, to the page of runs", "s", 3.0, less=True),
    "api.p99": Figure("200 clients of the API: 99th percentile", "ms"),
    "first_paint": Figure("the slowest page of the console, first paint", "s", 1.0, less=True),
    "streams.50ms": Figure("a stream of 200 records/s, `batch.wait` 50 ms: 99th percentile", "ms", 500, less=True),
    "given_records": Figure("requests of one record over HTTP into a stream, 50 clients", "a second", 500),
    "given_records.share": Figure("the same as a share of a server that only commits each to SQLite"),
    "given_records.p99": Figure("200 such requests a second, to their answer: 99th percentile", "ms", 100, less=True),
    "urgent_tickets": Figure("an urgent ticket over HTTP, to its answer: 99th percentile", "ms", 1000, less=True),
    "sequence": Figure("a stream whose records stay in sequence (`order_by`), as a share of the same without it"),
    "steps.dearest": Figure("CPU of the dearest kind of step, a record", "us", 20, less=True),
    "peers.dlt": Figure("CSV into SQLite, as a multiple of dlt's rate", "times", 2.0),
    "peers.dlt_postgres": Figure("CSV into Postgres, as a multiple of dlt's rate", "times", 2.0),
    "peers.celery": Figure("a job whose time is the model's, as a multiple of Celery's rate on RabbitMQ", "times"),
    "peers.curator": Figure("the same as a multiple of Curator's", "times"),
    "peers.docetl": Figure("the same as a multiple of DocETL's", "times"),
    "peers.lotus": Figure("the same as a multiple of LOTUS's", "times"),
}
"""Holds every figure by the name under which its bench keeps it, in the order of the table."""


def keep(name: str, value: float, of: str = "") -> None:
    """Add a figure to the results, where LOOM_BENCH_RESULTS names their folder. `of` says of what size it is."""
    if name not in FIGURES:
        raise KeyError(f"bench.figures does not know {name!r}")
    if not (place := os.environ.get(VARIABLE)):
        return
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    line = {
        "figure": name, "value": round(value, 4), "of": of, "load": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    with (folder / _FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def newest(folder: Path) -> list[dict[str, Any]]:
    """Return the newest line of each figure, in the order of the table."""
    lines = [json.loads(line) for line in (folder / _FILE).read_text("utf-8").splitlines()]
    found = {line["figure"]: line for line in lines}
    return [found[name] for name in FIGURES if name in found]


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures as a table of Markdown."""
    rows = ["| what is measured | goal | seen | reached | load |", "|---|---|---|---|---|"]
    for line in lines:
        figure = FIGURES[line["figure"]]
        goal = "" if figure.goal is None else f"{figure.goal:g} {figure.unit}".strip()
        reached = figure.reached(line["value"])
        share = "" if reached is None else f"{reached:.2f}"
        words = figure.words + (f"; {line['of']}" if line["of"] else "")
        rows.append(
            f"| {words} | {goal} | {line['value']:.3g} {figure.unit}".rstrip() + f" | {share} | {line['load']} |"
        )
    return "\n".join(rows)


def plot(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG with a bar for each figure that has a goal: what was reached of it. The line is the goal."""
    bars = [(FIGURES[line["figure"]], line["value"]) for line in lines if FIGURES[line["figure"]].goal is not None]
    height, scale = _ROW * (len(bars) + 1) + 10, (_WIDTH - _LEFT - 70) / _MOST_SHOWN
    drawn = []
    for at, (figure, value) in enumerate(bars):
        reached, top = figure.reached(value) or 0.0, _ROW * (at + 1)
        words = escape(figure.words.replace("`", ""))
        color = "#2f7d4f" if reached >= 1 else "#c2702a"
        drawn.append(
            f'<text x="{_LEFT - 10}" y="{top + 15}" text-anchor="end">{words}</text>'
            f'<rect x="{_LEFT}" y="{top + 3}" width="{scale * min(reached, _MOST_SHOWN):.1f}" height="{_ROW - 8}" '
            f'fill="{color}"/><text x="{_LEFT + scale * min(reached, _MOST_SHOWN) + 6:.1f}" y="{top + 15}">'
            f"{value:.3g} {escape(figure.unit)}</text>"
        )
    goal = _LEFT + scale
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12"><title>What was reached of each goal</title>'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>{"".join(drawn)}'
        f'<line x1="{goal}" y1="{_ROW - 4}" x2="{goal}" y2="{height - 8}" stroke="#333333" stroke-dasharray="4 3"/>'
        f'<text x="{goal}" y="{_ROW - 9}" text-anchor="middle">goal</text></svg>\n'
    )


def main() -> None:
    """Print the table, and write JSON and SVG beside the results."""
    folder = Path(os.environ.get(VARIABLE, ".bench"))
    if not (folder / _FILE).exists():
        sys.exit(f"figures: {folder / _FILE} is not there. Run a bench with {VARIABLE}={folder}, or `make bench`.")
    lines = newest(folder)
    print(table(lines))
    (folder / "figures.json").write_text(json.dumps(lines, indent=2) + "\n", "utf-8")
    (folder / "figures.svg").write_text(plot(lines), "utf-8")
    print(f"\n{folder / 'figures.json'}, {folder / 'figures.svg'}")


if __name__ == "__main__":
    main()
