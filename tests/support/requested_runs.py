"""Asks for a run as anybody may on the bus, where nobody looks at what it needs before it begins."""

from __future__ import annotations

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunFinished, RunReport, RunRequest
from support.projects import Project


async def requested_run(made: Project) -> RunReport:
    """Run the project's pipeline embedded, in the current folder, and return its report."""
    async with open_session(LoomConfig.load(), cluster=False) as session:
        accepted = await session.start(RunRequest(definition=made.definition))
        async for event in session.follow(accepted.run_id):
            if isinstance(event, RunFinished):
                return event.report
    raise AssertionError("the run was paused")
