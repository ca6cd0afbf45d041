"""Runs the cluster as private processes on this machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import asyncpg

from loom_dev.backends import Backend, Postgres
from loom_dev.backends.backend import READY_SECONDS
from loom_dev.backends.program import Program
from loom_dev.cluster.place import DATABASE, ClusterFolder, environment
from loom_dev.cluster.services import SERVICES, missing
from loom_dev.cluster.supervision import Supervisor, configuration, section
from loom_dev.errors import SetupError
from loom_dev.waiting import until


class LocalCluster:
    """Runs RabbitMQ, Postgres, Redis and the services under one supervisor."""

    def __init__(self, place: ClusterFolder) -> None:
        self._place = place
        self._supervisor = Supervisor(place)

    def up(self, replicas: Mapping[str, int]) -> dict[str, str]:
        """Start what does not run yet and wait until everything serves. Returns the services' environment.

        Raises `SetupError` with the end of the log of what did not start."""
        servers = self._place.servers(running=bool(self._supervisor.pid))
        values = environment(self._place, *servers)
        self._supervisor.apply(self._configuration(servers, values, replicas))
        for server in servers:
            self._supervisor.start(server.name)
        for server in servers:
            self._wait(server.is_ready, server.name)
        asyncio.run(_create_database(servers[1]))
        for step in (("db", "upgrade"), ("topology", "apply")):
            self._prepare(step, values)
        for service in SERVICES:
            self._supervisor.start(service.name)
        self._wait(lambda: not asyncio.run(missing(values["LOOM_BUS_URL"], replicas)), *replicas)
        return values

    def down(self) -> bool:
        """End everything that `up` started. Returns False where nothing ran."""
        return self._supervisor.down(*(service.name for service in SERVICES))

    def _configuration(self, servers: Sequence[Backend], values: Mapping[str, str], replicas: Mapping[str, int]) -> str:
        backends = [program for server in servers for program in server.programs()]
        folder = self._place.project
        services = [
            Program(each.name, (sys.executable, "-m", f"loom_{each.name}"), values, folder) for each in SERVICES
        ]
        logs = self._place.logs
        return configuration(
            self._place,
            [
                *(section(each, logs, autostart=True, priority=10 + i) for i, each in enumerate(backends)),
                *(section(each, logs, copies=replicas[each.name], autostart=False, priority=100) for each in services),
            ],
        )

    def _wait(self, serves: Callable[[], bool], *names: str) -> None:
        def fallen() -> list[str]:
            return [name for name in self._supervisor.fallen() if name in names]

        if not until(lambda: bool(fallen()) or serves(), READY_SECONDS) or fallen():
            late = fallen() or names
            words = "\n".join(_last_lines(self._place.logs, late))
            raise SetupError(f"Did not come up: {', '.join(late)}. Last words in {self._place.logs}:\n{words}")

    def _prepare(self, step: Sequence[str], values: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "loom_coordinator", *step]
        done = subprocess.run(command, env={**os.environ, **values}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupError(f"`loom-coordinator {' '.join(step)}` failed: {done.stderr.strip()[-2000:]}")


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
