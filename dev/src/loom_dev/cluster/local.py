"""Runs the cluster as private processes on this machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.errors import LoomError
from loom_common.flow import TOPOLOGY
from loom_dev.backends import Backend, Postgres, RabbitMQ
from loom_dev.backends.backend import READY_SECONDS
from loom_dev.backends.program import Program
from loom_dev.cluster.place import DATABASE, ClusterFolder, environment
from loom_dev.cluster.services import SERVICES, missing
from loom_dev.cluster.supervision import Supervisor, configuration, section
from loom_dev.errors import SetupError
from loom_dev.waiting import until
from loom_migrations.upgrade import upgrade_all

_LOOK_SECONDS = 0.2
"""The seconds between two looks at what starts: each takes CPU time from it."""


class LocalCluster:
    """Runs RabbitMQ, Postgres, Redis and the services under one supervisor."""

    def __init__(self, place: ClusterFolder) -> None:
        self._place = place
        self._supervisor = Supervisor(place)

    def up(self, replicas: Mapping[str, int]) -> dict[str, str]:
        """Start what does not run yet and wait until everything serves. Returns the services' environment.

        Raises `SetupError` with the end of the log of what did not start."""
        running = bool(self._supervisor.pid)
        rabbitmq, postgres, redis = servers = self._place.servers(running=running)
        values = environment(self._place, *servers)
        if not running:  # RabbitMQ takes longest, and starts while the files of Postgres are made
            self._supervisor.apply(configuration(self._place, self._backends([rabbitmq, redis])))
        self._supervisor.apply(self._configuration(servers, values, replicas))
        for server in servers:
            self._supervisor.start(server.name)
        self._side_by_side(
            lambda: self._with_schema(postgres, values),
            lambda: self._with_topology(rabbitmq, values),
            lambda: self._wait(redis.is_ready, redis.name),
        )
        for service in SERVICES:
            self._supervisor.start(service.name)
        self._wait(lambda: not asyncio.run(missing(values["LOOM_BUS_URL"], replicas)), *replicas)
        return values

    def down(self) -> bool:
        """End everything that `up` started. Returns False where nothing ran."""
        return self._supervisor.down(*(service.name for service in SERVICES))

    def _configuration(self, servers: Sequence[Backend], values: Mapping[str, str], replicas: Mapping[str, int]) -> str:
        folder, logs = self._place.project, self._place.logs
        services = [
            Program(each.name, (sys.executable, "-m", f"loom_{each.name}"), values, folder) for each in SERVICES
        ]
        return configuration(
            self._place,
            [
                *self._backends(servers),
                *(section(each, logs, copies=replicas[each.name], autostart=False, priority=100) for each in services),
            ],
        )

    def _backends(self, servers: Sequence[Backend]) -> list[str]:
        """Return the sections of the servers. The programs of one server start in order."""
        return [
            section(program, self._place.logs, autostart=True, priority=10 + position)
            for server in servers
            for position, program in enumerate(server.programs())
        ]

    def _side_by_side(self, *steps: Callable[[], None]) -> None:
        """Take the steps at the same time. Raises the first `SetupError`, after all have ended."""
        with ThreadPoolExecutor() as pool:
            taken = [pool.submit(step) for step in steps]
        for step in taken:
            step.result()

    def _with_schema(self, postgres: Postgres, values: Mapping[str, str]) -> None:
        """Wait for Postgres, and make the database and its newest schema."""
        self._wait(postgres.is_ready, postgres.name)
        databases = {values["LOOM_STATE_URL"], values["LOOM_PAYLOADS_URL"]}

        async def make() -> None:
            await _create_database(postgres)
            await upgrade_all(databases)

        try:
            asyncio.run(make())
        except LoomError as error:
            raise SetupError(f"The schema of the database could not be made. {error}") from error
        except asyncpg.InvalidPasswordError as error:
            raise SetupError(
                f"The database in {self._place.outside} has a password that nothing in {self._place.folder} says any "
                "more, as where `.loom` was removed. Remove its data, too, by "
                "`make down && .venv/bin/python -m loom_dev.cluster clean`, and then `make up` makes a new one."
            ) from error

    def _with_topology(self, rabbitmq: RabbitMQ, values: Mapping[str, str]) -> None:
        """Wait for RabbitMQ, and declare exchanges and queues."""
        self._wait(rabbitmq.is_ready, rabbitmq.name)

        async def declare() -> None:
            bus = await AmqpBus.connect(values["LOOM_BUS_URL"], name="make up")
            try:
                await bus.declare(TOPOLOGY)
            finally:
                await bus.close()

        try:
            asyncio.run(declare())
        except LoomError as error:
            raise SetupError(f"Exchanges and queues could not be declared. {error}") from error

    def _wait(self, serves: Callable[[], bool], *names: str) -> None:
        def fallen() -> list[str]:
            return [name for name in self._supervisor.fallen() if name in names]

        if not until(lambda: serves() or bool(fallen()), READY_SECONDS, _LOOK_SECONDS) or fallen():
            late = fallen() or names
            words = "\n".join(_last_lines(self._place.logs, late))
            raise SetupError(f"Did not come up: {', '.join(late)}. Last words in {self._place.logs}:\n{words}")


def _last_lines(logs: Path, names: Sequence[str]) -> list[str]:
    paths = sorted(path for name in names for path in logs.glob(f"{name}*.log"))
    return [f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-10:]) for path in paths]


async def _create_database(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
