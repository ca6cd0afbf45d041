"""Measures how soon the pages of the console are seen over 100,000 runs, with 10 million scores of records.

One small run is carried out, and its rows in the state are copied under other ids, at earlier times. Then Debian's
chromium opens every page of `loom serve`. `python -m bench.first_paint` prints a table."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

from playwright.async_api import Page, async_playwright

from bench.result import BenchError
from bench.start_up import measured
from loom_dev.errors import SetupError
from loom_dev.screenshots import CHROMIUM, pages, served

_GOAL = 1.0
"""Seconds until the first text of a page may be seen, on a machine that does nothing else."""
_RECORDS = 50
_PIPELINE = f"""
name: reviews_0
extract: {{source: records.csv, key: id, batch_size: {_RECORDS}}}
transform: {{type: passthrough}}
evaluate:
  evaluators:
    - {{name: liked, type: range, field: stars, min: 0, max: 3, threshold: 0.5}}
    - {{name: rated, type: range, field: stars, min: 0, max: 5, threshold: 0.5}}
load: {{destination: out.jsonl}}
"""
_PIPELINES = 20
_MINUTES = 5
"""The minutes from each copied run to the one after it."""
_TIMES = ("_at", "_date", "deadline", "tell_by")
_PAINTED = """new Promise(seen => new PerformanceObserver(list => {
    const first = list.getEntriesByName("first-contentful-paint")[0];
    if (first) seen(first.startTime);
}).observe({type: "paint", buffered: true}))"""
"""Gives the milliseconds from the click to the first text, as JavaScript."""


def fill(folder: Path, runs: int) -> int:
    """Make a project whose state holds so many runs. Returns how many scores of records it holds. Raises
    `BenchError`."""
    (folder / "pipeline.yaml").write_text(_PIPELINE)
    (folder / "records.csv").write_text(
        "id,stars,text\n" + "".join(f"{number},{number % 6},It works.\n" for number in range(_RECORDS))
    )
    _, report = measured(folder, ["run", "pipeline.yaml", "--format", "json"])
    run_id = json.loads(report)["run_id"]
    with closing(sqlite3.connect(folder / ".loom" / "loom.db")) as state:
        state.execute("PRAGMA synchronous = OFF")
        _copy_pipelines(state)
        tables = [name for (name,) in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            _copy_rows(state, table, run_id, runs)
        state.commit()
        state.execute("ANALYZE")
        (scores,) = state.execute("SELECT count(*) FROM record_evaluations").fetchone()
    return int(scores)


def _copy_pipelines(state: sqlite3.Connection) -> None:
    columns = _columns(state, "pipelines")
    for number in range(1, _PIPELINES):
        chosen = ", ".join(f"'reviews_{number}'" if name == "name" else f'"{name}"' for name in columns)
        state.execute(f"INSERT INTO pipelines SELECT {chosen} FROM pipelines WHERE name = 'reviews_0'")


def _copy_rows(state: sqlite3.Connection, table: str, run_id: str, runs: int) -> None:
    """Copy the run's rows of a table for each of the other runs."""
    columns = _columns(state, table)
    if "run_id" not in columns:
        return
    names = [name for name in columns if name != "id"]
    state.execute(
        f"WITH RECURSIVE others(nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM others WHERE nth < {runs - 1}) "
        f'INSERT INTO "{table}" ({", ".join(map(_quoted, names))}) '
        f"SELECT {', '.join(_of_another_run(name, run_id) for name in names)} "
        f'FROM others CROSS JOIN (SELECT * FROM "{table}" WHERE run_id = ?)',
        (run_id,),
    )


def _columns(state: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in state.execute(f'PRAGMA table_info("{table}")')]


def _quoted(name: str) -> str:
    return f'"{name}"'


def _of_another_run(column: str, run_id: str) -> str:
    """Return what a copied row has in a column, as SQL."""
    if column == "run_id":
        return "printf('run_%012x', nth)"
    if column == "origin_run_id":
        return f"CASE WHEN origin_run_id = '{run_id}' THEN printf('run_%012x', nth) ELSE origin_run_id END"
    if column == "pipeline_name":
        return f"'reviews_' || (nth % {_PIPELINES})"
    if column.endswith(_TIMES):
        return f"strftime('%Y-%m-%d %H:%M:%f000', \"{column}\", '-' || (nth * {_MINUTES}) || ' minutes')"
    return _quoted(column)


async def painted(address: str, rounds: int) -> dict[str, float]:
    """Return the median seconds until each page shows its first text."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM.require("chromium"))
        page = await browser.new_page(base_url=address)
        found = {path: median([await _first_paint(page, path) for _ in range(rounds)]) for path in _paths(address)}
        await browser.close()
    return found


def _paths(address: str) -> list[str]:
    return [path for name, path in pages(address).items() if name != "error"]


async def _first_paint(page: Page, path: str) -> float:
    answer = await page.goto(path, wait_until="load", timeout=120_000)
    if answer is None or not answer.ok:
        raise BenchError(f"{path} was answered by {answer and answer.status}.")
    return float(await page.evaluate(_PAINTED)) / 1000


def main() -> None:
    """Exit code 1 where a page fails, or is seen later than asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.first_paint", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100_000, help="in the state (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each page is opened (default: %(default)s)")
    parser.add_argument("--most", type=float, help="fail where a page is seen after more than so many seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        folder = Path(temporary)
        try:
            scores = fill(folder, options.runs)
            with contextlib.chdir(folder), served() as address:
                seconds = asyncio.run(painted(address, options.rounds))
        except (BenchError, SetupError) as error:
            sys.exit(f"first paint: {error}")
    print(f"{options.runs:,} runs, {scores:,} scores of records; goal: {_GOAL:g} s")
    print("| page | first paint, s |\n|---|---|")
    for path, taken in seconds.items():
        print(f"| `{path}` | {taken:.2f} |")
    if options.most and (late := [path for path, taken in seconds.items() if taken > options.most]):
        sys.exit(f"first paint: later than {options.most:g} s: {', '.join(late)}")


if __name__ == "__main__":
    main()
