"""Runs one service as this process, until it is told to stop: with its heartbeats, and with its answers about its
health."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from loom_common.config.settings import Settings
from loom_common.errors import ConfigurationError, LoomError
from loom_common.flow import TOPOLOGY
from loom_common.interpreter.garbage import collect_less
from loom_common.logs import logger
from loom_common.logs.logger import log
from loom_common.resilience import failpoints
from loom_common.service import entry
from loom_common.service.bootstrap import Build, Platform, open_platform
from loom_common.service.exit_watchdog import ExitWatchdog
from loom_common.service.heartbeats import Heartbeats, beating
from loom_common.service.logging import configure_logging
from loom_common.worker.consuming.stats import Reading


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
    logger.begin()  # at once, because later a file may not be there to be opened
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
