"""Runs asked for and followed from within a test, as the SDK does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom.session import Event, Session
from loom.views import open_views
from loom_common.contracts.v1 import RunFinished, RunProgress, RunRequest
from loom_dev.waiting import within
from support.projects import Project


def request_of(project: Project, config: LoomConfig, **changes: object) -> RunRequest:
    """Return what `loom run` sends for the project's pipeline."""
    loaded = load(project.pipeline, config.applied_to, config.allowed)
    request = RunRequest(definition=loaded.definition, files=loaded.files, base=config.base_of(loaded.folder))
    return request.model_copy(update=changes)


async def until(session: Session, run_id: str, condition: Callable[[RunProgress], bool]) -> Event:
    """Follow a run until its progress fulfils `condition`, or it has ended; the event at which that was so."""
    async for event in session.follow(run_id):
        if isinstance(event, RunFinished) or condition(event):
            return event
    raise AssertionError(f"{run_id} was paused")


async def ended(session: Session, run_id: str) -> RunFinished:
    """Follow a run to its end."""
    event = await until(session, run_id, lambda _: False)
    assert isinstance(event, RunFinished)
    return event


async def report_of(config: LoomConfig, run_id: str) -> dict[str, object]:
    """Return the run's report as it stands in the state database."""
    async with open_views(config) as views:
        report = await views.run(run_id)
    assert report is not None
    return report.as_json()


async def settles(ask: Callable[[], Awaitable[object]], value: object) -> None:
    """Wait until what `ask` gives is `value`."""
    async with within(30):
        while (seen := await ask()) != value:
            await asyncio.sleep(0.1)
    assert seen == value
