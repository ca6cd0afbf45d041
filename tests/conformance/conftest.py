"""Every port's suite runs against each of its adapters; what they need is made here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.adapters.memory.broker import MemoryBroker
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.payloads.claim_check import ClaimCheckBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.ports.bus import Bus, Delivery, Subscription
from loom_dev.emulators.azurite import Azurite
from loom_dev.emulators.google_storage import GoogleStorage
from loom_dev.waiting import within
from support.buckets import bucket_of
from support.destinations import Place
from support.rest_server import Api, serving
from support.sql_systems import SQL_SYSTEMS

WORK = "test.work"
RETRY = "test.work.retry"
EVENTS = "test.events"
DEAD = "test.dead"
TOPOLOGY = Topology(
    (
        Queue(WORK, (Binding(Exchange.WORK, "load.#"),)),
        Queue(RETRY, ttl=0.3, returns_to=WORK),
        Queue(EVENTS, (Binding(Exchange.EVENTS, "batch.*.reviews"), Binding(Exchange.EVENTS, "#.reviews"))),
        Queue(DEAD, (Binding(Exchange.DEAD, "#"),)),
    )
)


class Buses:
    """Opens connections to one broker of the test's own, all closed at its end."""

    topology = TOPOLOGY

    def __init__(self, open_one: Callable[[], Awaitable[Bus]]) -> None:
        self._open_one = open_one
        self._open: list[Bus] = []

    async def connect(self) -> Bus:
        bus = await self._open_one()
        self._open.append(bus)
        return bus

    async def close(self) -> None:
        for bus in self._open:
            await bus.close()

    @staticmethod
    async def take(subscription: Subscription, count: int) -> list[Delivery]:
        """Return the next `count` deliveries, not acknowledged."""
        deliveries = aiter(subscription)
        async with within(20):
            return [await anext(deliveries) for _ in range(count)]

    @staticmethod
    async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until `condition` holds. Raises `TimeoutError`."""
        async with within(20):
            while not await condition():
                await asyncio.sleep(0.02)


@pytest.fixture(params=["memory", "memory with claim checks", "rabbitmq"])
async def buses(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Buses]:
    """Provide an empty broker: the one in this process, bare and behind a claim check, and RabbitMQ."""
    broker = MemoryBroker()
    if request.param == "memory":

        async def open_one() -> Bus:
            return MemoryBus(broker)
    elif request.param == "memory with claim checks":

        async def open_one() -> Bus:
            return ClaimCheckBus(MemoryBus(broker), FolderPayloads(tmp_path))
    else:
        url = request.getfixturevalue("amqp_url")

        async def open_one() -> Bus:
            return await AmqpBus.connect(url, name="conformance", patience=20)

    buses = Buses(open_one)
    yield buses
    await buses.close()


@pytest.fixture
async def bus(buses: Buses) -> Bus:
    """Provide a bus with the suite's topology declared."""
    bus = await buses.connect()
    await bus.declare(TOPOLOGY)
    return bus


@pytest.fixture
def at(request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str]) -> Place:
    """Provide the destination that `support.destinations.places` names, empty."""
    location, mode = where
    server = next((each.server for each in SQL_SYSTEMS if each.location == location), None)
    environ, api = {}, None
    if location.startswith("s3://"):
        environ = request.getfixturevalue("s3_environment")
    if location.startswith("gs://"):
        environ = request.getfixturevalue("google_storage").environment()
    if location.startswith("az://"):
        environ = request.getfixturevalue("azure_environment")
    if location.startswith("rest+"):
        api = request.getfixturevalue("rest_api")
        environ = {"API": api.url}
    return Place(tmp_path, request.getfixturevalue(server) if server else "", location, mode, environ, api=api)


@pytest.fixture
def rest_api() -> Iterator[Api]:
    """Provide a REST API without records."""
    with serving(Api()) as api:
        yield api


@pytest.fixture(scope="session")
def google_storage() -> Iterator[GoogleStorage]:
    """Provide the emulator of Google's store."""
    with GoogleStorage().serving() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Provide the emulator of Azure's store, which only `make azure` has tests for."""
    server = Azurite().start()
    yield server
    server.close()


@pytest.fixture
def azure_environment(azurite: Azurite) -> dict[str, str]:
    """Provide variables that a location refers to: the endpoint, its key, and a folder of the test's own."""
    environ = azurite.environment()
    bucket_of(environ).put("is there", b"")
    return environ
