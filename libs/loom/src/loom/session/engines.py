"""Names the engines that carry out runs, and finds the one that `engine` in loom.yaml names.

An engine is a function that opens it: Loom's own stand here, others are offered by packages in the group
`loom.engines`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

from loom.engine import Carrying, Watch, embedded
from loom.project.config import LoomConfig
from loom.project.configured.engine_names import EMBEDDED, RABBITMQ, find_engine
from loom.session.client import Session
from loom.session.conversation import conversation
from loom.session.embedded import EmbeddedSession
from loom.session.port import RunEngine
from loom_common.ports.bus import Bus, Subscription
from loom_common.service.bootstrap import open_platform


@dataclass(frozen=True, slots=True)
class Opening:
    """Says how an engine is opened."""

    wait: bool = False
    """Tells whether runs wait for upstreams that were never there, instead of failing."""
    follows: bool = True
    """Tells whether the runs that are asked for here are followed."""
    watch: Watch | None = None
    """Sees what the services of this process publish."""


Engine = Callable[[LoomConfig, Opening], AbstractAsyncContextManager[RunEngine]]
"""Opens an engine for a project; what it needs beside that comes from `settings()` of the configuration. It is closed
at the end of the block, where nothing of it is at work any more in this process. Raises `ConfigurationError` and
`DependencyUnavailable`."""


@asynccontextmanager
async def open_embedded(
    config: LoomConfig, opening: Opening, carrying: Carrying | None = None
) -> AsyncIterator[RunEngine]:
    """Run the six services in this process until the engine is closed. With `carrying`, their handlers are called by
    the carrier that it opens."""
    settings = config.settings()
    if opening.wait:
        settings = settings.model_copy(update={"breaker": settings.breaker.model_copy(update={"seek_seconds": None})})
    async with embedded(settings, opening.watch, carrying) as (platform, owner):

        def build(bus: Bus, queue: str, events: Subscription) -> Session:
            return EmbeddedSession(bus, queue, events, config, owner, follows=opening.follows)

        async with conversation(platform.bus, build, follows=opening.follows) as session:
            yield session


@asynccontextmanager
async def open_rabbitmq(config: LoomConfig, opening: Opening) -> AsyncIterator[RunEngine]:
    """Ask the services of a cluster, as a client of its broker."""
    async with (
        open_platform(config.settings(), "loom-cli") as platform,
        conversation(platform.bus, follows=opening.follows) as session,
    ):
        yield session


OWN: Mapping[str, Engine] = MappingProxyType({EMBEDDED: open_embedded, RABBITMQ: open_rabbitmq})


def engine_named(name: str) -> Engine:
    """Return the engine with that name. Raises `ConfigurationError` where there is none, with what to install, and
    `PluginUnusable` for one that cannot be used."""
    return OWN.get(name) or find_engine(name)
