"""Commands runs and replays records by the console's forms, in a real browser, from a click to the destination's row.

One browser serves all tests of this file, because starting it takes most of the time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import expect

from loom.project.config import LoomConfig
from loom_api import server, service
from loom_api.settings import ApiSettings
from loom_dev.waiting import INTERVAL, patience, within
from support.api import client_of
from support.browser import chromium, serious, told_by
from support.served_api import ended, make_project, rows, started

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAITING = """
import pathlib, time

def doubled(record):
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return {"double": 2 * int(record["n"])}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the working directory, a project."""
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    return tmp_path


@asynccontextmanager
async def opened(browser, *, scripts=True):
    """Serve the project, and yield a client of its API and a page of its console."""
    settings = ApiSettings(port=0)
    listening = server.listen(settings)
    stop = asyncio.Event()
    async with within(60), service.opened(LoomConfig(), settings) as application, client_of(application) as client:
        serving = asyncio.create_task(server.serve(application, listening, stop))
        context = await browser.new_context(base_url=server.address_of(listening), java_script_enabled=scripts)
        context.set_default_timeout(patience(30) * 1000)
        page = await context.new_page()
        try:
            yield client, page
        finally:
            await context.close()
            stop.set()
            await serving


async def test_a_record_is_edited_and_run_again_from_the_click_to_the_row_of_the_destination(project, browser):
    async with opened(browser) as (client, page):
        told = told_by(page)
        run_id = await started(client)
        await ended(client, run_id)
        await page.goto("/quarantine")
        await page.get_by_role("link", name="c", exact=True).click()
        assert not await serious(page)
        await page.get_by_label("Input n").fill("21")
        await page.get_by_role("button", name="Run it again").click()
        await page.get_by_text("The replay has begun. It is this run.").wait_for()
        replay = page.url.rpartition("/")[2].partition("?")[0]
        assert (await ended(client, replay))["replay_of"] == run_id
        await expect(page.locator("#live .status").first).to_contain_text("succeeded", timeout=patience(30) * 1000)
        assert rows(project)["c"] == 42
        assert not told


async def test_a_selection_is_run_again_without_scripts(project, browser):
    (project / "in.csv").write_text("id,n\na,1\nb,x\nc,x\nd,x\n")
    async with opened(browser, scripts=False) as (client, page):
        run_id = await started(client)
        await ended(client, run_id)
        (project / "code.py").write_text((project / "code.py").read_text().replace("int(record", "len(record"))
        await page.goto(f"/quarantine?run_id={run_id}")
        await page.get_by_label(f"Choose b of {run_id}").check()
        await page.get_by_label(f"Choose d of {run_id}").check()
        await page.get_by_role("button", name="Run the chosen records again").click()
        await ended(client, page.url.rpartition("/")[2].partition("?")[0])
        assert rows(project) == {"a": 2, "b": 2, "d": 2}
        await page.goto(f"/quarantine?run_id={run_id}")
        await page.get_by_role("button", name="Run all again that are like this and wait").click()
        await ended(client, page.url.rpartition("/")[2].partition("?")[0])
        assert rows(project) == {"a": 2, "b": 2, "c": 2, "d": 2}


async def test_a_run_is_paused_resumed_with_a_budget_and_cancelled(project, browser):
    (project / "code.py").write_text(WAITING)
    async with opened(browser) as (client, page):
        run_id = await started(client)
        await page.goto(f"/runs/{run_id}")
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_text("The run is paused. Nothing is lost").wait_for()
        await page.get_by_label("with a budget of").fill("12.5")
        await page.get_by_role("button", name="Resume").click()
        await page.get_by_text("The run goes on.").wait_for()
        await page.get_by_text("of $12.50").first.wait_for()
        await page.reload()
        assert (await client.get(f"/runs/{run_id}")).json()["status"] == "running"
        (project / "go").touch()
        await page.get_by_text("Cancel", exact=True).click()
        await page.get_by_role("button", name="Cancel the run").click()
        await page.locator(".done").wait_for()


async def test_what_can_be_done_with_a_run_follows_its_status_and_leaves_what_is_being_entered(project, browser):
    (project / "code.py").write_text(WAITING)
    async with opened(browser) as (client, page):
        run_id = await started(client)
        await page.goto(f"/runs/{run_id}")
        await client.post(f"/runs/{run_id}/pause")
        await page.get_by_label("with a budget of").fill("7")
        async with page.expect_response(lambda answer: "/live/runs/" in answer.url):
            pass
        assert await page.get_by_label("with a budget of").input_value() == "7"
        (project / "go").touch()
        await client.post(f"/runs/{run_id}/resume")
        async with within(60, "a run without anything that can be done with it"):
            while await page.locator("#acts button").count():
                await asyncio.sleep(INTERVAL)
