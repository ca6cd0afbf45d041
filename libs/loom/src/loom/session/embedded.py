"""Runs beside other embedded engines that may be at work on the same state database."""

from __future__ import annotations

import asyncio

from loom.project.config import LoomConfig
from loom.project.engines import alive
from loom.session.client import ANSWER_SECONDS, Session
from loom.session.port import NOBODY, Asker
from loom.views import open_views
from loom_common.contracts.v1 import (
    RunAccepted,
)
from loom_common.domain.values.ids import STREAM_PREFIX
from loom_common.errors import ConfigurationError, DependencyUnavailable
from loom_common.ports.bus import Bus, Subscription

_LOOK_SECONDS = 0.1
"""Says how often to look whether another process has done what it was asked."""


class EmbeddedSession(Session):
    """Runs embedded, and takes into account that other embedded engines may be at work on the same state database."""

    def __init__(
        self, bus: Bus, queue: str, events: Subscription, config: LoomConfig, owner: str, *, follows: bool = True
    ) -> None:
        super().__init__(bus, queue, events, follows=follows)
        self._config = config
        self._owner = owner

    async def resume(self, run_id: str, budget: float | None = None, *, by: Asker = NOBODY) -> RunAccepted:
        """Raises `ConfigurationError` where another process is at work on the run."""
        if await self._elsewhere(run_id):
            raise ConfigurationError(f"Run {run_id} is running in another process; there is nothing to resume.")
        return await super().resume(run_id, budget, by=by)

    async def cancel(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Cancel the run; where another process is at work on it, leave a request for it, and wait until it has been
        heeded."""
        for each in await self._elsewhere(run_id):
            await self._ask_owner(each, "cancel", "cancelled")
        return await super().cancel(run_id, by=by)  # of a run that has ended meanwhile, this tells its status

    async def pause(self, run_id: str, *, by: Asker = NOBODY) -> RunAccepted:
        """Pause the run, as `cancel` cancels it."""
        for each in await self._elsewhere(run_id):
            await self._ask_owner(each, "pause", "paused")
        return await super().pause(run_id, by=by)

    async def at_work(self) -> list[str]:
        """Return the ids of the runs of this process."""
        async with open_views(self._config) as views:
            return await views.at_work(self._owner)

    async def is_elsewhere(self, run_id: str) -> bool:
        """Tell whether another process is at work on a run."""
        return await self._busy(run_id)

    async def _ask_owner(self, run_id: str, verb: str, done: str) -> None:
        """Leave a command for the process that is at work on a run, and wait until it has been heeded."""
        async with open_views(self._config) as views:
            await views.want(run_id, verb)
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        while await self._busy(run_id):
            if asyncio.get_running_loop().time() > deadline:
                raise DependencyUnavailable(
                    f"The process that runs {run_id} has not {done} it within {ANSWER_SECONDS:g} s. "
                    f"`loom status {run_id}` tells when it has."
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _elsewhere(self, named: str) -> list[str]:
        """Return the runs that another process is at work on: the one that is named, or those of a stream."""
        run_ids = [named]
        if named.startswith(STREAM_PREFIX):
            async with open_views(self._config) as views:
                run_ids = [each.run_id for each in await views.open_windows(named)]
        return [each for each in run_ids if await self._busy(each)]

    async def _busy(self, run_id: str) -> bool:
        async with open_views(self._config) as views:
            run = await views.row(run_id)
        if run is None or run.owner == self._owner or (run.status != "running" and run.resumes_at is None):
            return False
        return alive(self._config.project, run.owner)
