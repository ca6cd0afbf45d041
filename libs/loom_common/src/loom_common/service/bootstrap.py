"""Gives the ports their adapters, for every service and for the embedded engine; this is the composition root.

Nothing is connected at import. Tests compose through `open_platform` with other settings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import structlog

from loom_common import extras
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.payloads.claim_check import ClaimCheckBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.config.credentials import Credentials
from loom_common.config.settings import Settings
from loom_common.contracts.v1 import PrefetchLimit, RunEpoch
from loom_common.domain.run.breaker import Policy
from loom_common.errors import ConfigurationError, LoomError
from loom_common.flow import TOPOLOGY
from loom_common.interpreter.garbage import collect_less
from loom_common.ports import tracing
from loom_common.ports.bus import Bus
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.payloads import PayloadStore
from loom_common.resilience import failpoints
from loom_common.resilience.breakers import Breakers
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.sealing.keyring import Keyring
from loom_common.service import entry
from loom_common.service.control_channel import ControlChannel
from loom_common.service.exit_watchdog import ExitWatchdog, NoExitWatchdog
from loom_common.service.heartbeats import Heartbeats, beating
from loom_common.service.logging import configure_logging
from loom_common.user_code.plan_paths import see_that_it_stays
from loom_common.user_code.poison_isolation import ReadWriteLock
from loom_common.user_code.threads import Threads
from loom_common.worker.consumer_spec import Carrier, ConsumerSpec
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.stats import ProcessStats, Reading
from loom_common.worker.worker import Worker

log = structlog.get_logger()


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


class StageService:
    """Runs workers, one per consumer, and an epoch guard that they share."""

    def __init__(
        self,
        name: str,
        consumers: Sequence[ConsumerSpec],
        platform: Platform,
        close: Callable[[], contextlib.AbstractAsyncContextManager[None]] | None = None,
        hear: Callable[[RunEpoch], Awaitable[None]] | None = None,
    ) -> None:
        """`hear` is told of runs that were paused, resumed or cancelled, beside the guard."""
        self._hear = hear
        self._name = name
        self._consumers = consumers
        self._platform = platform
        self._stats = [platform.stats.consumer(consumer.queue) for consumer in consumers]
        self._close = close or contextlib.nullcontext

    async def run(self, stop: asyncio.Event) -> None:
        guard = EpochGuard()
        settings = self._platform.settings
        drain = settings.worker.drain_seconds
        workers = [
            Worker(
                self._name,
                consumer,
                self._platform.bus,
                guard,
                drain,
                stats,
                self._platform.clock,
                replaceable=not settings.embedded,
                carrier=self._platform.carrier,
            )
            for consumer, stats in zip(self._consumers, self._stats, strict=True)
        ]
        control = ControlChannel(self._platform.bus, self._name)
        control.on(RunEpoch, partial(_both_hear, guard, self._hear))
        control.on(PrefetchLimit, lambda limit: _all_heed(workers, limit))
        following = asyncio.create_task(control.follow())
        async with self._close():
            try:
                async with asyncio.TaskGroup() as tasks:
                    for worker in workers:
                        tasks.create_task(self._platform.watchdog.watched(worker.run(stop)))
            finally:
                await control.stop()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def _both_hear(guard: EpochGuard, hear: Callable[[RunEpoch], Awaitable[None]] | None, said: RunEpoch) -> None:
    await guard.hear(said)
    if hear is not None:
        await hear(said)


async def _all_heed(workers: Iterable[Worker], limit: PrefetchLimit) -> None:
    for worker in workers:
        await worker.heed(limit)


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


def require_broker(settings: Settings) -> None:
    """Raise `ConfigurationError` where a service process is given no broker.

    On the in-process bus it would wait forever for messages that no other process can send."""
    if settings.bus.url.get_secret_value().startswith("memory:"):
        raise ConfigurationError(
            "No broker is named, so this service could not receive a message. Set LOOM_BUS_URL to the address of "
            "RabbitMQ, e.g. amqp://user:password@host/vhost. `loom run FILE` runs a pipeline without a broker."
        )


def main(name: str, build: Build) -> None:
    """Run one service as this process, until SIGTERM or SIGINT. It exits with 1 where the service cannot continue."""
    try:
        settings = Settings()
    except ConfigurationError as unusable:
        sys.exit(f"error: {unusable}")
    configure_logging(settings.log, service=name)
    collect_less()
    failpoints.arm(name, os.environ.get(failpoints.VARIABLE))
    try:
        if sys.platform != "win32":
            import uvloop

            uvloop.run(_serve(name, build, settings))
        else:
            asyncio.run(_serve(name, build, settings))
    except* LoomError as errors:
        for error in errors.exceptions:
            log.error("service stopped", error=str(error))
        sys.exit(1)


async def _serve(name: str, build: Build, settings: Settings) -> None:
    require_broker(settings)
    stop = asyncio.Event()
    entry.call_on_interrupt(stop.set)
    watchdog = ExitWatchdog()
    async with open_platform(settings, name, watchdog=watchdog) as platform:
        service = build(platform)  # this comes first, because it registers what the service needs to be ready
        async with _health(platform, stop), _beats(name, platform, stop):
            await platform.bus.check(TOPOLOGY)
            log.info("service started", project=str(platform.project))
            try:
                await service.run(stop)
            finally:
                watchdog.begin()
            log.info("service stopped")
    watchdog.ended()


def _beats(name: str, platform: Platform, stop: asyncio.Event) -> contextlib.AbstractAsyncContextManager[None]:
    """Send heartbeats to the coordinator. An embedded process sends none."""
    if platform.settings.embedded:
        return contextlib.nullcontext()
    prefetch = platform.settings.worker.prefetch
    return beating(
        Heartbeats(
            name,
            platform.bus,
            platform.stats,
            platform.breakers,
            platform.clock,
            stop,
            configured_prefetch=prefetch,
        )
    )


def _health(platform: Platform, stop: asyncio.Event) -> contextlib.AbstractAsyncContextManager[None]:
    """Answer health requests where `LOOM_HEALTH_PORT` is set.

    The service is "not ready" from the moment that `stop` is set, and "alive" until everything is stopped."""
    settings = platform.settings.health
    if settings.port is None:
        return contextlib.nullcontext()
    from loom_common.service.health import Health, serving
    from loom_common.service.metrics import breaker_readings

    async def breakers() -> list[Reading]:
        return breaker_readings(platform.breakers.snapshot())

    platform.stats.gauges.append(breakers)
    return serving(Health(platform.stats, platform.bus, platform.clock, stop, settings.stall_seconds), settings)
