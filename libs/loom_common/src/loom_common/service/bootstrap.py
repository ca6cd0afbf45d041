"""Gives the ports their adapters, for every service and for the embedded engine; this is the composition root.

Nothing is connected at import. Tests compose through `open_platform` with other settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

from loom_common import extras
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.payloads.claim_check import ClaimCheckBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.config.credentials import Credentials
from loom_common.config.settings import Settings
from loom_common.domain.run.breaker import Policy
from loom_common.errors import ConfigurationError
from loom_common.flow import TOPOLOGY
from loom_common.ports import tracing
from loom_common.ports.bus import Bus
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.payloads import PayloadStore
from loom_common.resilience import failpoints
from loom_common.resilience.breakers import Breakers
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.sealing.keyring import Keyring
from loom_common.service.exit_watchdog import ExitWatchdog, NoExitWatchdog
from loom_common.user_code.plan_paths import see_that_it_stays
from loom_common.user_code.poison_isolation import ReadWriteLock
from loom_common.user_code.threads import Threads
from loom_common.worker.consumer_spec import Carrier
from loom_common.worker.consuming.stats import ProcessStats


@dataclass(frozen=True)
class Platform:
    """Holds the connections, stores and settings that a service uses."""

    settings: Settings
    bus: Bus
    payloads: PayloadStore
    plans: PlanCache
    credentials: Credentials
    clock: Clock
    breakers: Breakers = field(default_factory=Breakers)
    """The circuit breakers of all upstreams of this process."""
    threads: Threads = field(default_factory=Threads)
    user_code_lock: ReadWriteLock = field(default_factory=ReadWriteLock)
    """The lock around user code: isolated records hold it alone, because user code may end the process."""
    stats: ProcessStats = field(default_factory=ProcessStats)
    """The state that the process reports over HTTP and in heartbeats. A service registers its consumers and needs in
    it."""
    watchdog: ExitWatchdog = field(default_factory=NoExitWatchdog)
    """Ends the process once one of its loops has failed."""
    carrier: Carrier | None = None
    """Calls the handlers of the stages, where an engine has a carrier; None where their workers do."""

    @cached_property
    def keyring(self) -> Keyring:
        """Return the keys of sensitive fields. Nothing is looked up before a pipeline has such fields."""
        return Keyring(self.settings.encryption.keys, self.credentials)

    @cached_property
    def sealed(self) -> SealedStages:
        """Return what opens messages for the handlers of stages, and seals what these give back."""
        return SealedStages(self.plans, self.keyring)

    @property
    def project(self) -> Path:
        """Return the folder that relative paths of sources, destinations and functions start from."""
        return self.settings.project_dir.resolve()


class Service(Protocol):
    """Describes one of the six services."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is in flight, and return."""
        ...


Build = Callable[[Platform], Service]
"""A function that makes a service: `build(platform)` in its `service.py`."""


@asynccontextmanager
async def open_platform(
    settings: Settings, name: str, clock: Clock | None = None, watchdog: ExitWatchdog | None = None
) -> AsyncIterator[Platform]:
    """Connect to what the settings name, and close it at the end. Raises `ConfigurationError`,
    `DependencyUnavailable`."""
    payloads = open_payloads(settings)
    bus = await open_bus(settings, name)
    if not settings.embedded:
        bus = ClaimCheckBus(bus, payloads)
    if failpoints.armed():
        from loom_common.adapters.wrapped.failing_bus import FailingBus

        bus = FailingBus(bus)
    traced = _open_tracer(settings, name)
    try:
        yield Platform(
            settings=settings,
            bus=bus,
            payloads=payloads,
            plans=PlanCache(payloads, check=partial(see_that_it_stays, settings=settings)),
            credentials=Credentials.of_project(
                settings.project_dir, settings.credential_prefix, settings.allowed_paths
            ),
            clock=clock or SystemClock(),
            breakers=_breakers(settings, clock),
            threads=Threads(settings.worker.leaked_threads),
            watchdog=watchdog or NoExitWatchdog(),
        )
    finally:
        await bus.close()
        await payloads.close()
        await asyncio.to_thread(traced.close)


def _open_tracer(settings: Settings, name: str) -> contextlib.ExitStack:
    """Let the process record traces where they are configured, until what is returned is closed. Raises
    `ConfigurationError` where the packages are not installed."""
    stack = contextlib.ExitStack()
    if settings.tracing.endpoint is None:
        return stack
    try:
        from loom_common.service.tracing import OtlpTracer
    except ImportError as error:
        raise ConfigurationError(
            "LOOM_TRACING_ENDPOINT is set, and the packages of OpenTelemetry are not installed. Install the extra "
            f"`tracing`: {extras.remedy('tracing')}."
        ) from error
    opened = OtlpTracer(name, settings.tracing)
    stack.callback(opened.close)
    stack.enter_context(tracing.using(opened))
    return stack


def _breakers(settings: Settings, clock: Clock | None) -> Breakers:
    """Return the process's breakers. A cluster waits for an upstream that was never reached, because it is watched; an
    embedded run fails."""
    policy = Policy(**settings.breaker.model_dump(exclude={"seek_seconds"}))
    return Breakers(policy, clock, settings.breaker.seek_seconds if settings.embedded else None)


async def open_bus(settings: Settings, name: str) -> Bus:
    """Return the bus that `LOOM_BUS_URL` names."""
    url = settings.bus.url.get_secret_value()
    if url.startswith("memory:"):
        bus = MemoryBus()
        await bus.declare(TOPOLOGY)
        return bus
    from loom_common.adapters.amqp.bus import AmqpBus

    return await AmqpBus.connect(url, name=name, names_user=settings.bus.names_user)


def open_payloads(settings: Settings) -> PayloadStore:
    """Return the payload store that `LOOM_PAYLOADS_URL` names."""
    url = settings.payloads.url.get_secret_value()
    if url.startswith(("postgres://", "postgresql://")):
        from loom_common.adapters.payloads.postgres import PostgresPayloads

        return PostgresPayloads(url)
    return FolderPayloads(settings.project_dir / url.removeprefix("file:").removeprefix("//"))
