"""Opens every page of the console in a real browser, once: for its errors, for axe, for what is live and for the width.

One browser and one server serve all tests of this file, because starting them takes most of the time."""

from __future__ import annotations

import pytest
import pytest_asyncio
from sqlalchemy import update

from loom_coordinator.db.tables.runs import pipeline_runs
from loom_migrations.engine import open_engine
from support.api import RUN, fill_file
from support.browser import chromium, serious, served, told_by
from support.judged import judged_run

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = (
    "/",
    f"/runs/{RUN}",
    f"/runs/{RUN}/batches",
    f"/runs/{RUN}/records",
    f"/runs/{RUN}/records/r2",
    "/quarantine",
    "/pipelines",
    "/pipelines/p",
    "/costs",
    "/lineage",
    f"/compare?a={RUN}&b={RUN}",
    "/fleet",
    "/alerts",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the working directory: a project with one pipeline and a state file."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        (folder / "p.yaml").write_text("name: p\nversion: '2'\nextract: {source: in.csv}\n")
        yield folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(folder):
    path = folder / "loom.db"
    await fill_file(path)
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(engine):
    async with served(engine) as address:
        yield address


CUT_OFF = """
[...document.querySelectorAll("table.data:not(:has([rowspan]))")]
  .filter(each => each.parentElement.scrollWidth > each.parentElement.clientWidth)
  .map(each => each.innerText.slice(0, 80))
"""
"""Finds the tables of which a part is out of sight, but those whose rows belong together."""
LINES_OF_A_LONG_LABEL = """
each => {
  const height = each.clientHeight;
  each.dataset.label = "long ".repeat(30);
  return each.clientHeight / height;
}
"""
"""Makes the label of a cell take several lines, and tells how many times as high the cell becomes."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judging(tmp_path_factory):
    """Serve a project of which a run is judged, and yield the addresses of the pages about it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("judged")
        patch.chdir(folder)
        paths = await judged_run(folder)
    engine = open_engine(f"sqlite:///{folder}/.loom/loom.db")
    async with served(engine) as address:
        yield [f"{address}{path}" for path in paths]
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser, address):
    page = await browser.new_page(base_url=address, viewport={"width": 1440, "height": 900})
    yield page
    await page.close()


async def test_every_page_opens_without_errors_and_axe_finds_nothing_serious(page, judging):
    told, found = told_by(page), []
    for path in (*PAGES, *judging):
        answer = await page.goto(path)
        assert answer.status == 200, path
        found += await serious(page)
    assert not told
    assert not found


async def test_no_page_is_wider_than_a_telephone_and_the_dark_one_is_as_legible(browser, address, judging):
    narrow = await browser.new_page(base_url=address, viewport={"width": 390, "height": 844}, color_scheme="dark")
    told, found = told_by(narrow), []
    for path in (*PAGES, *judging):
        await narrow.goto(path)
        assert await narrow.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert not await narrow.evaluate(CUT_OFF), path
        found += await serious(narrow) if path in (f"/runs/{RUN}", "/quarantine", *judging) else []
    assert not told
    assert not found
    await narrow.goto(f"/runs/{RUN}")
    await narrow.locator("summary").first.evaluate("each => { each.textContent = 'evaluator_'.repeat(50); }")
    assert await narrow.evaluate("document.documentElement.scrollWidth") <= 390
    await narrow.goto(f"/compare?a={RUN}&b={RUN}")
    assert await narrow.locator(".stacked td").last.evaluate(LINES_OF_A_LONG_LABEL) > 3
    await narrow.close()


async def test_a_run_that_goes_on_is_seen_to_go_on(page, engine):
    await page.goto(f"/runs/{RUN}")
    assert not await page.get_by_text("The disk is slow.").count()
    async with engine.begin() as connection:
        await connection.execute(
            update(pipeline_runs).where(pipeline_runs.c.run_id == RUN).values(notice="The disk is slow.")
        )
    await page.get_by_text("The disk is slow.").wait_for()


async def test_a_threshold_is_moved_by_the_keyboard_and_says_how_many_would_pass(page):
    await page.goto(f"/runs/{RUN}")
    slider = page.get_by_label("Threshold of exact")
    await slider.focus()
    assert await page.locator(".plot output").text_content() == "At 1.00, 1 of 3 records would pass (33.3%)."
    await page.keyboard.press("Home")
    assert await page.locator(".plot output").text_content() == "At 0.00, 3 of 3 records would pass (100.0%)."
    assert await page.locator(".plot rect.misses").count() == 0


BESIDE_ITS_LINE = """() => {
  const slider = document.querySelector("input[data-threshold]"), thumb = 14;
  const track = slider.getBoundingClientRect();
  const line = document.querySelector("line.threshold").getBoundingClientRect();
  const at = track.left + thumb / 2 + slider.value * (track.width - thumb);
  return Math.abs(at - (line.left + line.width / 2));
}"""


@pytest.mark.parametrize("key", ["Home", "End"])
async def test_a_threshold_stands_where_its_line_is(page, key):
    await page.goto(f"/runs/{RUN}")
    await page.get_by_label("Threshold of exact").focus()
    await page.keyboard.press(key)
    assert await page.evaluate(BESIDE_ITS_LINE) < 1.5


async def test_the_keyboard_reaches_the_content_first_and_then_a_run(page):
    await page.goto("/runs")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.get_by_role("link", name="run_2", exact=True).press("Enter")
    await page.wait_for_url("**/runs/run_2")
