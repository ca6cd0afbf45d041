"""Defines what RabbitMQ, Postgres and Redis have in common: a folder, a start, and three ways to end."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Any, ClassVar, Self

from loom_dev.backends.container import ContainerHost, Image, docker_answers
from loom_dev.backends.local import LentHost, LocalHost
from loom_dev.backends.ports import reserve_port
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable
from loom_dev.waiting import until

READY_SECONDS = 90.0


class Backend(ABC):
    """Represents a private server on loopback with a random password.

    `start` and `restart` return when it serves. Ports, password and data outlive `stop` and `kill`, so that its URL
    stays valid; `close` kills it and removes everything."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    """Holds the names of its ports; the first is for its own protocol."""

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
        """Tells whether its data must survive the machine's crash. Tests do not need that, and are faster without."""
        self._host: LocalHost | ContainerHost | LentHost | None = None

    @classmethod
    def lent(cls, place: Mapping[str, Any]) -> Self:
        """Return the server of another process, which said its `place`. This process uses it, and cannot end it."""
        backend = cls(Path(place["folder"]), password=place["password"], ports=place["ports"])
        backend._host = LentHost(place["pid"])
        return backend

    @property
    def place(self) -> dict[str, Any]:
        """Return what another process needs in order to use this server while it runs here. It holds the password."""
        return {"folder": str(self.folder), "password": self.password, "ports": self.ports, "pid": self.pid}

    @property
    def port(self) -> int:
        """Return the port of its own protocol."""
        return self.ports[self.port_names[0]]

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the server's URL, with user and password."""

    @abstractmethod
    def programs(self) -> Sequence[Program]:
        """Return the server's programs, installed and configured in `folder`. Raises `BackendUnavailable`."""

    @abstractmethod
    def image(self) -> Image | None:
        """Return the server's container image and settings; None where it always runs as processes of this machine."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether it answers in its own protocol."""

    @property
    def running(self) -> bool:
        return self._host is not None and self._host.running

    @property
    def pid(self) -> int:
        """Return the pid of its process, for measurements and faults; 0 while it does not run."""
        return self._host.pid if self._host else 0

    def start(self) -> Self:
        """Start the server and wait until it serves. Raises `BackendUnavailable` with the end of the server's log."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._host is None:
            atexit.register(self._remove)
            image = self.image() if docker_answers() else None
            self._host = ContainerHost(image) if image else LocalHost(self.programs())
        host = self._host
        host.start()
        until(lambda: not host.running or self.is_ready(), READY_SECONDS)
        if not host.running or not self.is_ready():
            words = host.log()
            host.kill()
            raise BackendUnavailable(f"{self.name} did not start in {self.folder}. Its last words:\n{words}")
        return self

    def stop(self) -> None:
        """Shut the server down in order."""
        if self._host:
            self._host.stop()

    def kill(self) -> None:
        """Kill the server, as in a crash."""
        if self._host:
            self._host.kill()

    def restart(self) -> None:
        """Shut the server down in order, and start it again with the same data and ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill the server and remove its data."""
        self.kill()
        if isinstance(self._host, ContainerHost):
            self._host.remove()
        self._remove()

    def _remove(self) -> None:
        """Remove a temporary folder, even of a server that was stopped but never closed."""
        atexit.unregister(self._remove)
        if self._temporary and not self.running:
            shutil.rmtree(self.folder, ignore_errors=True)


def start_all(*backends: Backend) -> None:
    """Start several at the same time. Raises the first `BackendUnavailable`, after closing all."""
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(backend.start) for backend in backends]
    failure = next((error for future in starting if (error := future.exception())), None)
    if failure:
        for backend in backends:
            backend.close()
        raise failure
