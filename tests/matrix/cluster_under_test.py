"""Runs the cluster that faults are injected into: three servers, six services that are restarted when they end, and a
simulated model."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import asyncpg
import redis.asyncio

from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.flow import DEAD_QUEUE, TOPOLOGY
from loom_dev.backends import Postgres, RabbitMQ, Redis, start_all
from loom_dev.cluster.services import missing
from support.cluster import MODEL_CALLS_AT_ONCE, NAMES, Cluster, running
from support.proxy import Proxy
from support.simulated_model import SimulatedModel

HEARTBEAT_SECONDS = 5
STUCK_SECONDS = 8
WHOLE_SECONDS = 90.0
_START_AGAIN_AFTER = 1.0
_LOOK = 0.05
USER = "loom"
MARKS = "loom:mark:"


@dataclass
class ClusterUnderTest:
    """Runs all processes of one cluster. `wait_until_all_consume` returns once they have recovered from a fault."""

    rabbitmq: RabbitMQ
    postgres: Postgres
    redis: Redis
    bus_url: str
    state_url: str
    journal_url: str
    cluster: Cluster
    model: SimulatedModel
    broker_proxy: Proxy | None = None
    database_proxy: Proxy | None = None
    deaths: list[tuple[str, int]] = field(default_factory=list)
    """Holds the services that ended and their exit codes, since the start of the attempt."""
    _begun: dict[str, float] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    """The services that have an environment of their own."""

    @property
    def vhost(self) -> str:
        return urlsplit(self.bus_url).path.lstrip("/")

    async def restart_ended(self) -> None:
        """Restart services that end, as a container's supervisor does. One that ends soon after its start is restarted
        after a pause."""
        while True:
            for name, code in self.cluster.ended().items():
                since = time.monotonic() - self._begun.get(name, float("-inf"))
                if since < _START_AGAIN_AFTER:
                    continue
                self.deaths.append((name, code))
                self._begin(name, {})
            await asyncio.sleep(_LOOK)

    def _begin(self, name: str, environ: Mapping[str, str]) -> None:
        self._begun[name] = time.monotonic()
        self.cluster.begin(name, environ)

    def kill(self, name: str) -> None:
        """Send SIGKILL. `restart_ended` starts the service again."""
        self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.cluster.pid(name), number)

    async def restart_with_failpoints(self, orders: Mapping[str, str]) -> None:
        """Restart services, each with a failpoint."""
        await self.restart_with({name: {"LOOM_FAILPOINT": order} for name, order in orders.items()})

    async def restart_with(self, environs: Mapping[str, Mapping[str, str]]) -> None:
        """Restart services, each with this in its environment besides."""
        for name in environs:
            self._begun[name] = time.monotonic() + 3600  # `restart_ended` must not restart it meanwhile
            self.signal(name, signal.SIGTERM)
        for name, environ in environs.items():
            while name not in self.cluster.ended():
                await asyncio.sleep(_LOOK)
            self._changed.add(name)
            self._begin(name, environ)
        await self.wait_until_all_consume()

    async def wait_until_all_consume(self) -> None:
        """Wait until all services consume from their queues."""
        async with asyncio.timeout(WHOLE_SECONDS):
            while True:
                with contextlib.suppress(Exception):
                    if not self.cluster.ended() and not await missing(self.bus_url, dict.fromkeys(NAMES, 1)):
                        return
                await asyncio.sleep(_LOOK)

    async def restart_unchanged(self) -> None:
        """Restart the services that were given a failpoint or another environment, without it."""
        for name in self._changed:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGKILL)
        self._changed.clear()
        await asyncio.sleep(2 * _LOOK)

    async def declare(self) -> None:
        """Declare the topology, as `loom-coordinator topology apply` does."""
        bus = await AmqpBus.connect(self.bus_url, name="matrix")
        try:
            await bus.declare(TOPOLOGY)
        finally:
            await bus.close()

    async def ready_messages(self) -> dict[str, int]:
        """Return the number of ready messages in each queue that has any."""
        bus = await AmqpBus.connect(self.bus_url, name="matrix")
        try:
            depths = {queue.name: await bus.depth(queue.name) for queue in TOPOLOGY.queues}
        finally:
            await bus.close()
        return {name: depth for name, depth in depths.items() if depth}

    async def marks(self) -> int:
        """Return the number of batches that are marked as begun."""
        async with redis.asyncio.Redis.from_url(self.journal_url) as journal:
            return len([key async for key in journal.scan_iter(f"{MARKS}*")])

    async def dead_letters(self) -> int:
        return (await self.ready_messages()).get(DEAD_QUEUE, 0)

    def purge_dead_letters(self) -> None:
        self.rabbitmq.api("DELETE", f"/queues/{quote(self.vhost)}/{DEAD_QUEUE}/contents")

    def make_vhost(self) -> None:
        self.rabbitmq.api("PUT", f"/vhosts/{self.vhost}", {})
        self.rabbitmq.api("PUT", f"/permissions/{self.vhost}/{USER}", {"configure": ".*", "write": ".*", "read": ".*"})

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Query the state database, and wait while it cannot be reached."""
        while True:
            try:
                connection = await asyncpg.connect(self.state_url, timeout=5)
                try:
                    return await connection.fetch(query, *arguments, timeout=10)
                finally:
                    await connection.close(timeout=2)
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, TimeoutError,
                    asyncpg.AdminShutdownError, asyncpg.InterfaceError, asyncpg.TooManyConnectionsError):  # fmt: skip
                await asyncio.sleep(0.2)


@asynccontextmanager
async def cluster_under_test(folder: Path | None = None, *, proxied: bool = False) -> AsyncIterator[ClusterUnderTest]:
    """Start a cluster and stop it at the end of the block. `proxied` puts proxies in front of the broker and the
    database."""
    rabbitmq, postgres, journal = RabbitMQ(), Postgres(), Redis()
    async with AsyncExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loom-matrix-")))
        for server in (rabbitmq, postgres, journal):
            stack.callback(server.close)
        await asyncio.to_thread(start_all, rabbitmq, postgres, journal)
        bus_url = stack.enter_context(rabbitmq.vhost())
        journal_url = stack.enter_context(journal.database())
        state_url = postgres.url
        model = await stack.enter_async_context(SimulatedModel(latency=0.02))
        proxies: list[Proxy] = []
        if proxied:
            proxies = [await stack.enter_async_context(Proxy(url)) for url in (bus_url, state_url)]
        seen_bus, seen_state = [proxy.url for proxy in proxies] or [bus_url, state_url]
        cluster = Cluster(
            folder / "project",
            bus_url=f"{seen_bus}?heartbeat={HEARTBEAT_SECONDS}",
            state_url=seen_state,
            journal_url=journal_url,
            environ={
                "LOOM_BREAKER_OPEN_SECONDS": "3",
                "LOOM_COORDINATOR_STUCK_SECONDS": str(STUCK_SECONDS),
            },
            calls_at_once=MODEL_CALLS_AT_ONCE,
        )
        told = {"CLUSTER_BUS": bus_url, "CLUSTER_STATE": state_url, "RESULTS": state_url}
        stack.enter_context(patch.dict(os.environ, cluster.credentials | told))
        made = ClusterUnderTest(
            rabbitmq, postgres, journal, bus_url, state_url, journal_url, cluster, model, *(proxies or (None, None))
        )
        await stack.enter_async_context(running(cluster))
        restarting = asyncio.create_task(made.restart_ended())
        try:
            yield made
        finally:
            restarting.cancel()
            await asyncio.gather(restarting, return_exceptions=True)
            for name in NAMES:
                made.signal(name, signal.SIGCONT)
