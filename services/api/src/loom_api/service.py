"""Composes the API: its state database, its broker, and the server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from loom.project.config import FILE_NAME, LoomConfig
from loom.views import open_views
from loom_api import app, server
from loom_api.running.sessions import EmbeddedSessions, Sessions, of_cluster
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.adapters.payloads.claim_check import ClaimCheckBus
from loom_common.async_engine import AsyncEngine
from loom_common.errors import ConfigurationError
from loom_common.ports.bus import Bus
from loom_common.service.bootstrap import Platform, open_bus, open_payloads
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable
from loom_migrations.upgrade import is_current

_PING_AFTER_SECONDS = 1.0


def _ignored(_run_id: str) -> None:
    """Do nothing."""


class Api:
    """Answers requests on a socket of its own. Any number may run side by side."""

    def __init__(
        self, application: FastAPI, listening: socket.socket, engine: AsyncEngine, source: Source, sessions: Sessions
    ) -> None:
        self._source = source
        self._application = application
        self.listening = listening
        """The socket that it answers at."""
        self._engine = engine
        self._sessions = sessions

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set. Raises `ConfigurationError` where the state database has another schema."""
        try:
            if not await is_current(self._engine):
                raise ConfigurationError(
                    "The state database has another schema than this version: loom-coordinator db upgrade"
                )
            await server.serve(self._application, self.listening, stop)
        finally:
            self.listening.close()
            await self._sessions.close()
            await self._source.close()
            await self._engine.dispose()


def build(platform: Platform) -> Api:
    """Build the service on its platform, as a process of a cluster. Raises `ConfigurationError` for an address that it
    may not listen on."""
    file = platform.project / FILE_NAME
    config = LoomConfig.load(file if file.is_file() else None).for_cluster()
    settings = ApiSettings()
    engine = open_engine(platform.settings.state.url.get_secret_value(), reads=True, ping_after=_PING_AFTER_SECONDS)
    platform.stats.needs["state database"] = lambda: reachable(engine)
    sessions = of_cluster(platform.bus)
    source = Source(engine, config, platform.bus, sessions)
    listening = server.listen(settings, controlled=config.access.controlled)
    return Api(app.build(source, settings), listening, engine, source, sessions)


@asynccontextmanager
async def opened(
    config: LoomConfig, settings: ApiSettings, paused: Callable[[str], None] = _ignored
) -> AsyncIterator[FastAPI]:
    """Open the application for a project: embedded over its state file, or over the database and the broker of its
    cluster. The state is brought to the newest schema first where it is not. `paused` is told at the end the id of each
    run that was under way in this process."""
    async with open_views(config) as views, _broker(config) as bus:
        sessions = EmbeddedSessions(config) if bus is None else of_cluster(bus)
        source = Source(views.engine, config, bus, sessions)
        try:
            yield app.build(source, settings)
        finally:
            await source.close()
            for run_id in await sessions.close():
                paused(run_id)


@asynccontextmanager
async def _broker(config: LoomConfig) -> AsyncIterator[Bus | None]:
    if not config.distributed:
        yield None
        return
    settings = config.settings()
    payloads = open_payloads(settings)
    try:
        bus = await open_bus(settings, "api")
        try:
            yield ClaimCheckBus(bus, payloads)
        finally:
            await bus.close()
    finally:
        await payloads.close()
