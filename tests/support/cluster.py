"""Runs the six services as real processes against real servers: to be used, killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from loom.engine import prepare
from loom_common.config.settings import BusSettings, Settings, StateSettings
from loom_common.flow import TOPOLOGY
from loom_common.service.bootstrap import open_bus
from loom_dev.cluster.services import SERVICES, missing
from loom_dev.process_memory import peak_memory
from loom_dev.waiting import patience, within
from support import forked

NAMES = tuple(service.name for service in SERVICES)
MODEL_CALLS_AT_ONCE = 8
"""What the tests' clusters are limited to, where a test counts calls."""
START_SECONDS = 60.0
STOP_SECONDS = 40.0
_LOOK_SECONDS = 0.1
_BACKENDS = {"postgresql": "postgres", "redis": "redis"}


class Cluster:
    """Runs one process per service. `project` is the folder they and their clients share."""

    def __init__(
        self,
        project: Path,
        *,
        bus_url: str,
        state_url: str,
        journal_url: str | None = None,
        environ: Mapping[str, str] | None = None,
        calls_at_once: int | None = None,
        python: Path | None = None,
    ) -> None:
        """Take the `environ` that goes to the services beside what they need, e.g. limits and credentials.
        `calls_at_once` keeps so many calls to OpenAI's models in flight in each service, and no more. `python`
        starts them as an operator does, which takes each a second of processor time; without it, they are forks of a
        process that has imported them, and hold some of its memory."""
        self._calls_at_once = calls_at_once
        self._python = python
        self.project = project
        self.bus_url = bus_url
        self.state_url = state_url
        self.journal_url = journal_url or state_url
        self.environ = dict(environ or {})
        self._processes: dict[str, subprocess.Popen[bytes] | forked.Forked] = {}

    @property
    def credentials(self) -> dict[str, str]:
        """Return what the `${REFERENCES}` of `loom.yaml` and of pipelines stand for."""
        return {
            "CLUSTER_BUS": self.bus_url,
            "CLUSTER_STATE": self.state_url,
            "CLUSTER_JOURNAL": self.journal_url,
            "RESULTS": self.state_url,
        }

    @property
    def settings(self) -> Settings:
        return Settings(
            project_dir=self.project,
            bus=BusSettings(url=SecretStr(self.bus_url)),
            state=StateSettings(url=SecretStr(self.state_url)),
        )

    async def start(self) -> None:
        """Make schema, topology and a `loom.yaml` for clients, and start the services; return when all of them
        consume."""
        self.project.mkdir(parents=True, exist_ok=True)
        (self.project / "loom.yaml").write_text(
            "mode: distributed\nbus: {url: '${CLUSTER_BUS}'}\nstorage: {type: postgres, url: '${CLUSTER_STATE}'}\n"
            f"cache: {{backend: {_BACKENDS[self.journal_url.split(':')[0]]}, url: '${{CLUSTER_JOURNAL}}'}}\n"
            + (f"providers: {{openai: {{concurrency: {self._calls_at_once}}}}}\n" if self._calls_at_once else "")
        )
        await prepare(self.settings)
        bus = await open_bus(self.settings, "test")
        await bus.declare(TOPOLOGY)
        await bus.close()
        await self.serve()

    async def serve(self, **replicas: int) -> None:
        """Start what does not run of one replica of each service, or of so many of these, and wait until everything
        consumes."""
        wanted = dict.fromkeys(NAMES, 1) | replicas
        for name in _names(wanted):
            if name not in self._processes or self._processes[name].poll() is not None:
                self._start(name)
        try:
            await self._consuming(wanted)
        except TimeoutError:
            absent = await missing(self.bus_url, wanted)
            words = "\n".join(f"{name}:\n{self.words(name)}" for name in absent)
            raise AssertionError(f"However long one waits, these do not serve:\n{words}") from None

    def reduce(self, **replicas: int) -> None:
        """End the replicas beyond one of each service, or beyond so many of these."""
        for name in self._processes.keys() - set(_names(dict.fromkeys(NAMES, 1) | replicas)):
            self.drop(name)

    @asynccontextmanager
    async def scaled(self, **replicas: int) -> AsyncIterator[Cluster]:
        """Run so many of each of these services, all consuming, and one of each again after the block."""
        try:
            await self.serve(**replicas)
            yield self
        finally:
            self.reduce()

    def kill(self, name: str) -> None:
        """Send SIGKILL, as a crash or the kernel's memory killer would."""
        self._processes[name].kill()
        self._processes[name].wait()

    def pid(self, name: str) -> int:
        """Return the service's process, which may have ended."""
        return self._processes[name].pid

    def ended(self) -> dict[str, int]:
        """Return the services whose process has ended, and its exit code; negative for the signal that ended it."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def begin(self, name: str, environ: Mapping[str, str] | None = None, *, first: str | None = None) -> None:
        """Start a service that does not run, with this in its environment beside what all have; does not wait.
        `coordinator.2` is a second coordinator. Python that is to come `first` is executed in its process, e.g. to do
        what an earlier version did."""
        self._start(name, environ or {}, first)

    def drop(self, name: str) -> None:
        """End a second replica with SIGKILL, and forget it."""
        self.kill(name)
        del self._processes[name]

    async def terminate(self, name: str) -> int:
        """Send SIGTERM, as a deployment would, and return the exit code."""
        self._processes[name].send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._processes[name].wait, patience(STOP_SECONDS))

    async def roll(self, old: str, new: str) -> int:
        """Start `new`, a replica of the same service as `old`, and end `old` by SIGTERM at the same time, as a rolling
        update does. Return its exit code once all services consume."""
        self._start(new)
        code = await self.terminate(old)
        del self._processes[old]
        await self._consuming(dict.fromkeys(NAMES, 1))
        return code

    def close(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(patience(STOP_SECONDS))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return rows of the run state, as a user's own SQL would find them."""
        connection = await asyncpg.connect(self.state_url)
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    def peaks(self) -> dict[str, float]:
        """Return the most memory each process ever held, in MB."""
        return {name: peak_memory(process.pid) for name, process in self._processes.items()}

    def words(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a service's log."""
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-lines:])

    def troubles(self) -> str:
        """Return what the services logged above `info`."""
        return "\n".join(
            f"{name}: {line[:2000]}"
            for name in NAMES
            for line in self._log(name).read_text(errors="replace").splitlines()
            if '"level": "info"' not in line
        )

    def forget_troubles(self) -> None:
        for name in NAMES:
            if self._log(name).exists():
                os.truncate(self._log(name), 0)

    async def _consuming(self, wanted: Mapping[str, int]) -> None:
        """Wait until so many do. Raises `TimeoutError`."""
        async with within(START_SECONDS):
            while await missing(self.bus_url, wanted):
                for name, process in self._processes.items():
                    assert process.poll() is None, f"{name} ended:\n{self.words(name)}"
                await asyncio.sleep(_LOOK_SECONDS)

    def _start(self, name: str, more: Mapping[str, str] | None = None, first: str | None = None) -> None:
        # A service that may write no bytecode would compile everything at each start.
        kept = (key for key in os.environ if not key.startswith("LOOM_") and key != "PYTHONDONTWRITEBYTECODE")
        environ = {key: os.environ[key] for key in kept}
        environ |= {
            **self.credentials,
            "LOOM_BUS_URL": self.bus_url,
            "LOOM_STATE_URL": self.state_url,
            "LOOM_PAYLOADS_URL": self.state_url,
            "LOOM_JOURNAL_URL": self.journal_url,
            "LOOM_PROJECT_DIR": str(self.project),
            **self.environ,
            **(more or {}),
        }
        package = f"loom_{name.partition('.')[0]}"
        with self._log(name).open("ab") as log:
            if first is not None:
                whole = [sys.executable, "-c", f"{first}\nfrom {package}.__main__ import main\nmain()\n"]
                self._processes[name] = subprocess.Popen(whole, env=environ, stdout=log, stderr=log, cwd=self.project)
            elif self._python is None:
                outputs = log.fileno(), log.fileno()
                self._processes[name] = forked.fork(package, (), self.project, environ, outputs)
            else:
                self._processes[name] = subprocess.Popen(
                    [str(self._python), "-m", package], env=environ, stdout=log, stderr=log, cwd=self.project
                )

    def _log(self, name: str) -> Path:
        return self.project.with_name(f"{self.project.name}-{name}.log")


def _names(replicas: Mapping[str, int]) -> list[str]:
    """Return the names of so many replicas: `coordinator`, `transformer`, `transformer.2`."""
    names = (f"{name}.{number}" for name, count in replicas.items() for number in range(1, count + 1))
    return [name.removesuffix(".1") for name in names]


_RUNNING: list[Cluster] = []


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Run the cluster; its processes end with the block."""
    try:
        await cluster.start()
        _RUNNING.append(cluster)
        yield cluster
    finally:
        if cluster in _RUNNING:
            _RUNNING.remove(cluster)
        await asyncio.to_thread(cluster.close)


def end_unused(test: pytest.Item, next_test: pytest.Item | None) -> None:
    """End the services of all clusters where the next test is in another folder, because they take a twentieth of a
    processor while nobody uses them. `Cluster.serve` starts them again."""
    if next_test is not None and next_test.path.parent != test.path.parent:
        for cluster in _RUNNING:
            cluster.close()
