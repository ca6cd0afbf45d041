"""Gives each request what answers it, and what carries it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from fastapi import Request

from loom.project.config import LoomConfig
from loom_api.access import viewer_of
from loom_api.following import Following, news_of
from loom_api.reads import Reads
from loom_api.running.commands import Commands
from loom_api.running.sessions import Sessions
from loom_common.async_engine import AsyncEngine
from loom_common.domain.access import Viewer
from loom_common.ports.bus import Bus
from loom_coordinator.db.unit_of_work import trouble_told


class Source:
    """Holds what all requests share. Routes depend on its methods."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig, bus: Bus | None, sessions: Sessions) -> None:
        self.engine = engine
        """The state database."""
        self.config = config
        self._reads = Reads(engine, config, bus)
        self._following = Following(partial(news_of, self._reads))
        self._commands = Commands(config, sessions, self._reads)

    def reads_of(self, viewer: Viewer) -> Reads:
        """Return what answers somebody."""
        return self._reads.of(viewer)

    async def reads(self, request: Request) -> AsyncIterator[Reads]:
        """Yield what answers. Raises `DependencyUnavailable` where the state database is away meanwhile, and
        `StateUnusable` where its file cannot be used."""
        with trouble_told(self.engine.url):
            yield self._reads.of(viewer_of(request.scope))

    async def following(self) -> AsyncIterator[Following]:
        """Yield what tells of runs as they go. Raises as `reads` does."""
        with trouble_told(self.engine.url):
            yield self._following

    async def commands(self, request: Request) -> AsyncIterator[Commands]:
        """Yield what carries out commands. Raises as `reads` does."""
        with trouble_told(self.engine.url):
            yield self._commands.of(viewer_of(request.scope))
