"""Runs the embedded engine: the six services in this process, on the in-process bus. Nothing to start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace

from loom.project.engines import claim
from loom_common.config.settings import Settings
from loom_common.flow import TOPOLOGY
from loom_common.ports.bus import Bus
from loom_common.service.bootstrap import Platform, Service, open_platform
from loom_common.worker.consumer_spec import Carrier

Watch = Callable[[Platform], Awaitable[Bus]]
"""Wraps the bus of an engine, to see what its services publish."""
Carrying = Callable[[Platform], AbstractAsyncContextManager[Carrier]]
"""Opens what calls the handlers of an engine's stages, for as long as its services run."""
_IDLE_SECONDS = 5.0
"""Says how long to wait for queues to run dry before stopping."""
_LOOK_SECONDS = 0.02


@asynccontextmanager
async def embedded(
    settings: Settings, watch: Watch | None = None, carrying: Carrying | None = None
) -> AsyncIterator[tuple[Platform, str]]:
    """Start the six services; stop them in the order of a record's way. Gives the platform and the engine's id. Where
    there is one, `watch` gives the bus that the services use in place of the platform's, and `carrying` what calls the
    handlers of the stages."""
    await prepare(settings)
    with claim(settings.project_dir) as owner:
        async with (
            open_platform(settings, "embedded") as opened,
            _seen_through(opened, watch, carrying) as platform,
            _running(_services(platform, owner)),
        ):
            yield platform, owner
            await _until_idle(platform)


@asynccontextmanager
async def _seen_through(platform: Platform, watch: Watch | None, carrying: Carrying | None) -> AsyncIterator[Platform]:
    """Give the platform with the bus and the carrier that its services are to use."""
    if watch is not None:
        platform = replace(platform, bus=await watch(platform))
    async with nullcontext() if carrying is None else carrying(platform) as carrier:
        yield replace(platform, carrier=carrier)


@asynccontextmanager
async def _running(services: Sequence[Service]) -> AsyncIterator[None]:
    """Run the services within the block, and stop them one after the other. A service that dies ends the block: nobody
    may wait for what cannot come any more."""
    stops = [asyncio.Event() for _ in services]
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(service.run(stop)) for service, stop in zip(services, stops, strict=True)]
            try:
                yield
            finally:
                for stop, task in zip(stops, running, strict=True):
                    stop.set()
                    await asyncio.wait({task})
    except BaseExceptionGroup as group:
        raise _cause(group) from group


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended the engine: the first error of the group, however deep."""
    first = group.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first


async def prepare(settings: Settings) -> None:
    """Bring the databases of state and journal to the newest schema."""
    from loom_migrations.upgrade import upgrade_all

    await upgrade_all(settings.databases)


def _services(platform: Platform, owner: str) -> list[Service]:
    """Return the services in the order they stop: who speaks before who listens, the coordinator last."""
    import loom_coordinator.service
    import loom_evaluator.service
    import loom_extractor.service
    import loom_loader.service
    import loom_quarantine.service
    import loom_transformer.service

    return [
        loom_extractor.service.build(platform),
        loom_transformer.service.build(platform),
        loom_evaluator.service.build(platform),
        loom_loader.service.build(platform),
        loom_quarantine.service.build(platform),
        loom_coordinator.service.build(platform, owner),
    ]


async def _until_idle(platform: Platform) -> None:
    """Wait until every queue is empty. What follows from the run's end, such as the marks of replayed records, is then
    being handled."""
    deadline = platform.clock.monotonic() + _IDLE_SECONDS
    names = [queue.name for queue in TOPOLOGY.queues if queue.ttl is None and queue.name != "loom.dead"]
    while platform.clock.monotonic() < deadline:
        if not any([await platform.bus.depth(name) for name in names]):
            return
        await asyncio.sleep(_LOOK_SECONDS)
