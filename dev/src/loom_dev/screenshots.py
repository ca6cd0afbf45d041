"""Writes a picture of every page of the web console, wide and narrow, light and dark.

`python -m loom_dev.screenshots` serves the project in the working directory. `make demo` gives it a run to show."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.async_api import async_playwright

from loom_dev.backends.debian import Package

CHROMIUM = Package("chromium", ("/usr/bin",))
WIDTHS = {1440: 900, 390: 844}
"""Holds the width of each picture in pixels -> its height."""
SCHEMES = ("light", "dark")


def main() -> None:
    """Write the pictures, and print the name of each."""
    parser = argparse.ArgumentParser(prog="python -m loom_dev.screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(".screenshots"), help="the folder of the pictures")
    parser.add_argument("--whole", action="store_true", help="show pages to their ends, not only what is seen first")
    arguments = parser.parse_args()
    arguments.into.mkdir(exist_ok=True)
    with served() as address:
        asyncio.run(photograph(address, pages(address), arguments.into, whole=arguments.whole))


@contextmanager
def served() -> Iterator[str]:
    """Serve the console of the working directory, and yield its address."""
    command = [sys.executable, "-m", "loom", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            yield serving.stdout.readline().strip()
        finally:
            serving.send_signal(signal.SIGINT)


def pages(address: str) -> dict[str, str]:
    """Return the path of each page by the name of its picture, with the newest run and record where there are some."""
    found = {
        name: f"/{name}"
        for name in ("runs", "quarantine", "pipelines", "costs", "lineage", "compare", "fleet", "alerts")
    }
    runs = _items(address, "/runs?limit=2")
    if runs:
        newest = f"/runs/{runs[0]['run_id']}"
        found |= {"run": newest, "batches": f"{newest}/batches", "records": f"{newest}/records"}
        found["pipeline"] = f"/pipelines/{quote(runs[0]['pipeline_name'], safe='')}"
        found["compare"] = f"/compare?a={runs[-1]['run_id']}&b={runs[0]['run_id']}"
    for record in _items(address, "/quarantine?limit=1"):
        found["record"] = f"/runs/{record['run_id']}/records/{quote(record['record_id'], safe='')}"
    return found | {"error": "/runs/nobody"}


def _items(address: str, path: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}/api/v1{path}", timeout=30) as answer:
        items: list[dict[str, Any]] = json.load(answer)["items"]
    return items


async def photograph(address: str, pages: dict[str, str], into: Path, *, whole: bool) -> None:
    """Open every page in Debian's chromium, and write its pictures."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM.require("chromium"))
        for scheme in SCHEMES:
            for width, height in WIDTHS.items():
                context = await browser.new_context(
                    base_url=address,
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if scheme == "dark" else "light",
                )
                page = await context.new_page()
                for name, path in pages.items():
                    await page.goto(path, wait_until="networkidle")
                    picture = into / f"{name}-{width}-{scheme}.png"
                    await page.screenshot(path=picture, full_page=whole)
                    print(picture)
                await context.close()
        await browser.close()


if __name__ == "__main__":
    main()
