"""Gives each request what answers it, and what carries it out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from fastapi import Request

from loom.project.config import LoomConfig
from loom_api.access import viewer_of
from loom_api.following import Following, news_of
from loom_api.http.idempotency import KeptRequests
from loom_api.reads import Reads
from loom_api.running.inboxes import Inboxes
from loom_api.running.labels import Labelling
from loom_api.running.record_runs import RecordRuns
from loom_api.running.scoring import Scoring
from loom_api.running.sessions import Sessions
from loom_common import extras
from loom_common.async_engine import AsyncEngine
from loom_common.domain.access import Viewer
from loom_common.errors import ConfigurationError
from loom_common.ports.bus import Bus
from loom_coordinator.db.unit_of_work import trouble_told

if TYPE_CHECKING:
    from loom_api.oidc.provider import Provider


class Source:
    """Holds what all requests share. Routes depend on its methods."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig, bus: Bus | None, sessions: Sessions) -> None:
        self.engine = engine
        """The state database."""
        self.requests = KeptRequests(engine)
        """The requests that clients have given a key."""
        self.config = config
        self.provider = _provider(config)
        """The OpenID provider that people sign in at; None where there is none."""
        self._reads = Reads(engine, config, bus)
        self._following = Following(partial(news_of, self._reads))
        self._commands = RecordRuns(config, sessions, self._reads, Inboxes(config))
        self._labelling = Labelling(config, self._reads)
        self._scoring = Scoring(config, self._reads)

    async def close(self) -> None:
        """Close what requests have opened."""
        await self._commands.inboxes.close()

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

    async def commands(self, request: Request) -> AsyncIterator[RecordRuns]:
        """Yield what carries out commands. Raises as `reads` does."""
        with trouble_told(self.engine.url):
            yield self._commands.of(viewer_of(request.scope))

    async def labelling(self, request: Request) -> AsyncIterator[Labelling]:
        """Yield what lets people judge records. Raises as `reads` does."""
        with trouble_told(self.engine.url):
            yield self._labelling.of(viewer_of(request.scope))

    async def scoring(self, request: Request) -> AsyncIterator[Scoring]:
        """Yield what scores runs again and compares them. Raises as `reads` does."""
        with trouble_told(self.engine.url):
            yield self._scoring.of(viewer_of(request.scope))


def _provider(config: LoomConfig) -> Provider | None:
    """Return the provider that `access` in loom.yaml names. Raises `ConfigurationError` where it cannot be used."""
    if (oidc := config.access.oidc) is None:
        return None
    try:
        from loom_api.oidc.provider import Provider
    except ImportError as error:
        raise ConfigurationError(
            f"`access.oidc` in loom.yaml needs the extra `oidc`, which is not installed here: {extras.remedy('oidc')}"
        ) from error
    return Provider(oidc, config.secrets)
