"""Measures how soon the pages of the console are seen over 100,000 runs, with 10 million scores of records.

Debian's chromium opens every page of `loom serve`. `python -m bench.first_paint` prints a table, of a state in SQLite,
or with `--postgres` in a Postgres that it starts."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median

from playwright.async_api import Page, async_playwright

from bench import figures, many_runs
from bench.result import BenchError
from loom_dev.errors import SetupError
from loom_dev.screenshots import CHROMIUM, pages, served

_GOAL = 1.0
"""Seconds until the first text of a page may be seen, on a machine that does nothing else."""
_PAINTED = """new Promise(seen => new PerformanceObserver(list => {
    const first = list.getEntriesByName("first-contentful-paint")[0];
    if (first) seen(first.startTime);
}).observe({type: "paint", buffered: true}))"""
"""Gives the milliseconds from the click to the first text, as JavaScript."""


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
    parser.add_argument("--postgres", action="store_true", help="keep the state in a Postgres, and not in SQLite")
    options = parser.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary,
            many_runs.state(of_postgres=options.postgres) as url,
        ):
            folder = Path(temporary)
            scores = many_runs.fill(folder, options.runs, url)
            with contextlib.chdir(folder), served() as address:
                seconds = asyncio.run(painted(address, options.rounds))
    except (BenchError, SetupError) as error:
        sys.exit(f"first paint: {error}")
    print(f"{options.runs:,} runs, {scores:,} scores of records; goal: {_GOAL:g} s")
    print("| page | first paint, s |\n|---|---|")
    for path, taken in seconds.items():
        print(f"| `{path}` | {taken:.2f} |")
    figures.keep("first_paint", max(seconds.values()), f"{options.runs:,} runs")
    if options.most and (late := [path for path, taken in seconds.items() if taken > options.most]):
        sys.exit(f"first paint: later than {options.most:g} s: {', '.join(late)}")


if __name__ == "__main__":
    main()
