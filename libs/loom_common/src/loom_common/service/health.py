"""Whether a service is alive and ready, and its numbers, over HTTP: `/healthz`, `/readyz`, `/metrics`.

aiohttp answers because Loom has it already, to call models with. It answers from the service's own event loop, so
that a loop that is stuck cannot claim to be well."""

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
from loom_common.worker.stats import Need, ProcessStats, Reading

BEAT_SECONDS = 1.0
NEED_SECONDS = 2.0
"""How long a dependency has to answer; less than Kubernetes waits for `/readyz`."""
GAUGE_SECONDS = 5.0

Findings = Mapping[str, str | None]
"""By check: what is the matter, or None."""


class Health:
    """What the endpoints answer. `stop` is the event that asks the service to end: from then on it is not ready."""

    def __init__(self, vitals: ProcessStats, bus: Bus, clock: Clock, stop: asyncio.Event, stall_seconds: float) -> None:
        self._vitals = vitals
        self._bus = bus
        self._clock = clock
        self._stop = stop
        self._stall_seconds = stall_seconds
        self._metrics = Metrics(vitals, bus)
        self._beaten = clock.monotonic()

    async def beat(self) -> None:
        """For ever: show that the event loop makes progress."""
        while True:
            self._beaten = self._clock.monotonic()
            await self._clock.sleep(BEAT_SECONDS)

    async def live(self, request: web.Request) -> web.Response:
        """503 where the last beat is too long ago: nothing but a restart helps."""
        age = self._clock.monotonic() - self._beaten
        alive = age < self._stall_seconds
        return web.json_response({"alive": alive, "last_beat_s": round(age, 3)}, status=200 if alive else 503)

    async def ready(self, request: web.Request) -> web.Response:
        """503 with the reasons where the service does not take messages, or will not be able to carry them out."""
        findings = {
            **standing_findings(self._bus.standing(), self._vitals.queues, stopping=self._stop.is_set()),
            **await need_findings(self._vitals.needs),
        }
        is_ready = not any(findings.values())
        checks = {name: finding or "ok" for name, finding in findings.items()}
        return web.json_response({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Always 200: numbers that cannot be looked up just now are left out, and counted."""
        readings = [reading for found in await self._read_gauges() for reading in found]
        text, content_type = self._metrics.exposition(
            request.headers.get("Accept", ""), readings, stopping=self._stop.is_set()
        )
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def _read_gauges(self) -> list[list[Reading]]:
        found, missing = [], 0
        for gauge in self._vitals.gauges:
            try:
                async with asyncio.timeout(GAUGE_SECONDS):
                    found.append(list(await gauge()))
            except (LoomError, TimeoutError):
                missing += 1
        found.append([Reading("loom_gauges_missing", "Groups of numbers that could not be looked up.", missing)])
        return found


def standing_findings(standing: QueueState, queues: Iterable[str], *, stopping: bool) -> Findings:
    """What the process knows without asking anybody."""
    findings = {
        "stopping": "asked to stop; finishing what is in hand" if stopping else None,
        "broker": None if standing.connected else "not connected; trying again every second",
    }
    for queue in sorted(queues):
        findings[f"consumer of {queue}"] = None if standing.consumes(queue) else "not consuming"
    return findings


async def need_findings(needs: Mapping[str, Need]) -> Findings:
    """Ask everything the service stands on, at the same time."""
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
    """Answer on the settings' port, to the very end of the body. Raises `ConfigurationError` where it is taken."""
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
