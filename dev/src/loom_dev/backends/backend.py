"""What RabbitMQ, Postgres and Redis have in common: a place, a start, and three ways to end."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import ClassVar, Self

from loom_dev.backends.container import ContainerHost, Image, docker_answers
from loom_dev.backends.local import LocalHost
from loom_dev.backends.ports import reserve_port
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable
from loom_dev.waiting import until

READY_SECONDS = 90.0


class Backend(ABC):
    """A private server on loopback with a random password.

    `start` and `restart` return when it serves. Ports, password and data outlive `stop` and `kill`, so that its
    URL stays good; `close` ends it at once and leaves nothing behind."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    """What it listens for; the first is its own protocol."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        password: str | None = None,
        ports: Mapping[str, int] | None = None,
        durable: bool = False,
    ) -> None:
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.gettempdir(), f"loom-{self.name}-{token_hex(6)}")
        self.password = password or token_hex(16)
        self.ports = dict(ports) if ports else {name: reserve_port() for name in self.port_names}
        self.durable = durable
        """Whether its data must survive the machine. A test's need not, and is faster for it."""
        self._host: LocalHost | ContainerHost | None = None

    @property
    def port(self) -> int:
        """Where it speaks its own protocol."""
        return self.ports[self.port_names[0]]

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, with user and password."""

    @abstractmethod
    def programs(self) -> Sequence[Program]:
        """Its programs on this machine, installed and configured in `folder`. Raises `BackendUnavailable`."""

    @abstractmethod
    def image(self) -> Image:
        """The same in a container."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers in its own protocol."""

    @property
    def running(self) -> bool:
        return self._host is not None and self._host.running

    @property
    def pid(self) -> int:
        """Its process, for measuring and for faults; 0 while it does not run."""
        return self._host.pid if self._host else 0

    def start(self) -> Self:
        """Start, and wait until it serves. Raises `BackendUnavailable` with the server's last words."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._host is None:
            atexit.register(self._remove)
            self._host = ContainerHost(self.image()) if docker_answers() else LocalHost(self.programs())
        host = self._host
        host.start()
        until(lambda: not host.running or self.is_ready(), READY_SECONDS)
        if not host.running or not self.is_ready():
            words = host.log()
            host.kill()
            raise BackendUnavailable(f"{self.name} did not start in {self.folder}. Its last words:\n{words}")
        return self

    def stop(self) -> None:
        """End it in order."""
        if self._host:
            self._host.stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._host:
            self._host.kill()

    def restart(self) -> None:
        """Stop in order, start again with the same data in the same place."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it at once and remove what it kept."""
        self.kill()
        if isinstance(self._host, ContainerHost):
            self._host.remove()
        self._remove()

    def _remove(self) -> None:
        """Remove a temporary folder: also when nobody closed what was stopped, and no keeper is there to do it."""
        atexit.unregister(self._remove)
        if self._temporary and not self.running:
            shutil.rmtree(self.folder, ignore_errors=True)


def start_all(*backends: Backend) -> None:
    """Start several at the same time. Raises the first `BackendUnavailable`, with all of them closed."""
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(backend.start) for backend in backends]
    failure = next((error for future in starting if (error := future.exception())), None)
    if failure:
        for backend in backends:
            backend.close()
        raise failure
