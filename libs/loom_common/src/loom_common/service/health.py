"""Reports over HTTP whether a service is alive and ready, and its metrics: `/healthz`, `/readyz`, `/metrics`.

It uses aiohttp, which Loom has for model calls, on the service's own event loop: a loop that is blocked cannot report
that it is alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from loom_common.config.settings import HealthSettings
from loom_common.errors import ConfigurationError, LoomError
from loom_common.ports.bus import Bus, QueueState
from loom_common.ports.clock import Clock
from loom_common.service.metrics import Metrics
from loom_common.worker.consuming.stats import Distribution, Need, ProcessStats, Reading

BEAT_SECONDS = 1.0
NEED_SECONDS = 2.0
"""The number of seconds that a dependency has to answer. It is less than Kubernetes waits for `/readyz`."""
GAUGE_SECONDS = 5.0

Findings = Mapping[str, str | None]
"""Says for each check what is wrong, or None."""


class Health:
    """Answers the endpoints of health. From the moment that `stop` is set, the service is not ready."""

    def __init__(self, stats: ProcessStats, bus: Bus, clock: Clock, stop: asyncio.Event, stall_seconds: float) -> None:
        self._stats = stats
        self._bus = bus
        self._clock = clock
        self._stop = stop
        self._stall_seconds = stall_seconds
        self._metrics = Metrics(stats, bus)
        self._beaten = clock.monotonic()

    async def beat(self) -> None:
        """Record regularly that the event loop makes progress, until cancelled."""
        while True:
            self._beaten = self._clock.monotonic()
            await self._clock.sleep(BEAT_SECONDS)

    async def live(self, request: web.Request) -> web.Response:
        """Answer 503 where the event loop has not made progress for too long, so that the process must be restarted."""
        age = self._clock.monotonic() - self._beaten
        alive = age < self._stall_seconds
        return web.json_response({"alive": alive, "last_beat_s": round(age, 3)}, status=200 if alive else 503)

    async def ready(self, request: web.Request) -> web.Response:
        """Answer 503 with the reasons where the service does not consume, or could not handle messages."""
        findings = {
            **standing_findings(self._bus.standing(), self._stats.queues, stopping=self._stop.is_set()),
            **await need_findings(self._stats.needs),
        }
        is_ready = not any(findings.values())
        checks = {name: finding or "ok" for name, finding in findings.items()}
        return web.json_response({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer 200 with the metrics. Those that cannot be read now are left out and counted."""
        readings = [reading for found in await self._read_gauges() for reading in found]
        text, content_type = self._metrics.exposition(
            request.headers.get("Accept", ""), readings, stopping=self._stop.is_set()
        )
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def _read_gauges(self) -> list[list[Reading | Distribution]]:
        found: list[list[Reading | Distribution]] = []
        missing = 0
        for gauge in self._stats.gauges:
            try:
                async with asyncio.timeout(GAUGE_SECONDS):
                    found.append(list(await gauge()))
            except (LoomError, TimeoutError):
                missing += 1
        found.append([Reading("loom_gauges_missing", "Groups of numbers that could not be looked up.", missing)])
        return found


def standing_findings(standing: QueueState, queues: Iterable[str], *, stopping: bool) -> Findings:
    """Return the checks that need no request to another system."""
    findings = {
        "stopping": "asked to stop; finishing what is in flight" if stopping else None,
        "broker": None if standing.connected else "not connected; trying again every second",
    }
    for queue in sorted(queues):
        findings[f"consumer of {queue}"] = None if standing.consumes(queue) else "not consuming"
    return findings


async def need_findings(needs: Mapping[str, Need]) -> Findings:
    """Check everything that the service depends on, at the same time."""
    answers = await asyncio.gather(*map(_finding, needs.values()))
    return dict(zip(needs, answers, strict=True))


async def _finding(need: Need) -> str | None:
    try:
        async with asyncio.timeout(NEED_SECONDS):
            await need()
    except LoomError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {NEED_SECONDS:g} s"
    return None


@asynccontextmanager
async def serving(health: Health, settings: HealthSettings) -> AsyncIterator[None]:
    """Answer on the settings' port until the end of the block. Raises `ConfigurationError` where the port is in use."""
    application = web.Application()
    application.router.add_get("/healthz", health.live)
    application.router.add_get("/readyz", health.ready)
    application.router.add_get("/metrics", health.metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    beating = asyncio.create_task(health.beat())
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Give each process of a machine "
                "a LOOM_HEALTH_PORT of its own, and LOOM_HEALTH_HOST an address of this machine."
            ) from error
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await runner.cleanup()
