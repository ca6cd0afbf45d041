"""Tests when what writes the lines of a log is set up, and what stands in each line."""

from __future__ import annotations

import asyncio
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from loom_common.foreign_code.imports import imported
from loom_common.logs import logger
from loom_common.logs.logger import log


@pytest.fixture
def begun():
    """Return the list to which setting up at level `warning` appends."""
    calls = []
    logger.set_up(lambda: calls.append("begun"), "warning")
    return calls


def test_the_first_line_that_the_level_lets_through_sets_up_what_writes_it(begun):
    log.info("all is well")
    assert begun == []
    with capture_logs() as lines:
        log.warning("something is wrong", what="this")
        log.error("more is wrong")
        log.debug("nobody wants to know")
    assert begun == ["begun"]
    assert lines == [
        {"event": "something is wrong", "what": "this", "log_level": "warning"},
        {"event": "more is wrong", "log_level": "error"},
    ]


def test_every_line_has_the_values_that_its_task_has_bound(begun):
    async def work(run):
        logger.bind(run_id=run)
        await asyncio.sleep(0)
        log.warning("looked at", batch=1)

    async def both():
        logger.bind(service="loader")
        await asyncio.gather(asyncio.create_task(work("a")), asyncio.create_task(work("b")))
        log.warning("looked at")

    with capture_logs() as lines:
        asyncio.run(both())
    assert [(each["service"], each.get("run_id"), each.get("batch")) for each in lines] == [
        ("loader", "a", 1),
        ("loader", "b", 1),
        ("loader", None, None),
    ]


def test_an_error_that_was_not_expected_is_written_with_it(begun):
    with capture_logs() as lines:
        try:
            int("x")
        except ValueError:
            log.exception("cannot be made", name="x")
    assert lines == [{"event": "cannot be made", "name": "x", "exc_info": True, "log_level": "error"}]


def test_code_that_logs_by_structlog_finds_it_set_up(begun):
    imported("theirs", lambda: sys.modules["structlog"])
    assert begun == ["begun"]


def test_a_program_that_has_set_structlog_up_is_left_alone():
    assert not logger.is_set_up()
    structlog.configure(processors=[])
    assert logger.is_set_up()
