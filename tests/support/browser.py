"""Runs Debian's chromium, and the console in this process for it to open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from loom_api import server
from loom_api.settings import ApiSettings
from loom_common.async_engine import AsyncEngine
from loom_dev.backends.debian import Package
from support.api import application

CHROMIUM = Package("chromium", ("/usr/bin",))
AXE = (Path(__file__).with_name("vendor") / "axe.min.js").read_text(encoding="utf-8")
"""Holds the checks of axe-core 4.14.1, which `vendor/axe.LICENSE` licenses."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM.require("chromium"))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def served(engine: AsyncEngine) -> AsyncIterator[str]:
    """Serve the console over a state database, for the project in the working directory, and yield its address."""
    settings = ApiSettings(port=0)
    listening = server.listen(settings)
    stop = asyncio.Event()
    serving = asyncio.create_task(server.serve(application(engine), listening, stop))
    try:
        yield server.address_of(listening)
    finally:
        stop.set()
        await serving


def told_by(page: Page) -> list[str]:
    """Return a list that grows with every error that the browser tells of a page."""
    found: list[str] = []
    page.on("console", lambda said: found.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


async def serious(page: Page) -> list[str]:
    """Return what axe finds that hinders people who use a screen reader or the keyboard, and a part of where."""
    await page.evaluate(AXE)
    found = await page.evaluate("axe.run()")
    return [
        f"{page.url}: {each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:1]
    ]
