"""Opens what the commands work on: the state database and the broker that the environment names."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import ArgumentError

from loom_common.async_engine import AsyncEngine
from loom_common.config.settings import Settings
from loom_common.errors import ConfigurationError
from loom_common.ports.bus import Bus
from loom_common.service.bootstrap import open_bus, open_payloads
from loom_coordinator.admin.shared.addresses import cluster_settings
from loom_coordinator.db.unit_of_work import UnitOfWork, begin
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable
from loom_migrations.upgrade import is_current

Answer = TypeVar("Answer")


@asynccontextmanager
async def state(settings: Settings, *, reads: bool = True) -> AsyncIterator[AsyncEngine]:
    """Open the state database. Raises `ConfigurationError` where it has not the newest schema,
    `DependencyUnavailable`."""
    url = settings.state.url.get_secret_value()
    _see(url)
    try:
        engine = open_engine(url, reads=reads, pool_size=1)
    except ArgumentError:
        raise ConfigurationError(
            "LOOM_STATE_URL is no URL. Expected postgresql://user:password@host/database."
        ) from None
    try:
        await reachable(engine)
        if not await is_current(engine):
            raise ConfigurationError(
                "The state database has another schema than this version: loom-coordinator db upgrade"
            )
        yield engine
    finally:
        await engine.dispose()


def _see(url: str) -> None:
    """To open a SQLite file that is not there makes one."""
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        raise ConfigurationError(
            f"There is no state database {url}. Name the cluster's in LOOM_STATE_URL. "
            "A cluster that `make up` started is found in its folder."
        )


async def ask(question: Callable[[UnitOfWork], Awaitable[Answer]]) -> Answer:
    """Return the answer of run state to one question."""
    async with state(cluster_settings()) as engine, begin(engine, now(), None) as unit:
        return await question(unit)


@asynccontextmanager
async def broker(settings: Settings) -> AsyncIterator[Bus]:
    """Open the broker. Raises `ConfigurationError` where none is named, `DependencyUnavailable`."""
    if settings.embedded:
        raise ConfigurationError(
            "LOOM_BUS_URL names no broker. Expected amqp://user:password@host:5672/vhost. "
            "A cluster that `make up` started is found in its folder."
        )
    bus = await open_bus(settings, "admin")
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def claiming_broker(settings: Settings) -> AsyncIterator[Bus]:
    """Open the broker, with the bodies of large messages."""
    from loom_common.adapters.payloads.claim_check import ClaimCheckBus

    payloads = open_payloads(settings)
    try:
        async with broker(settings) as bus:
            yield ClaimCheckBus(bus, payloads)
    finally:
        await payloads.close()


def now() -> dt.datetime:
    """Return the time in UTC, with its zone."""
    return dt.datetime.now(dt.UTC)
