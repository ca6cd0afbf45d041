"""Runs a private Redis server."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.debian import Package
from loom_dev.backends.program import Program

PACKAGE = Package("redis-server", ("/usr/bin", "/usr/local/bin"))
DATABASES = 10_000


class Redis(Backend):
    """Runs a Redis server that keeps its data in memory only, unless `durable`."""

    name = "redis"
    port_names = ("redis",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.numbers: Iterator[int] = itertools.count(1)
        """Gives the next database to lend. Who shares the server with others sets numbers that only it uses."""

    @property
    def url(self) -> str:
        return self._url(0)

    def _url(self, number: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{number}"

    def _settings(self) -> dict[str, str]:
        return {
            "requirepass": self.password,
            "databases": str(DATABASES),
            "save": '""',
            "appendonly": "yes" if self.durable else "no",
        }

    def programs(self) -> Sequence[Program]:
        settings = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.folder), **self._settings()}
        configuration = self.folder / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        command = (PACKAGE.require("redis-server"), str(configuration))
        return [Program(self.name, command, {}, self.folder)]

    def image(self) -> Image:
        command = [word for name, value in self._settings().items() for word in (f"--{name}", value.strip('"'))]
        return Image("redis:7-alpine", {6379: self.port}, command=("redis-server", *command))

    def is_ready(self) -> bool:
        try:
            return self._ask("PING").endswith(b"+PONG\r\n")
        except OSError:
            return False

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Return the URL of an empty database; it is emptied after the block, if the server still runs."""
        number = next(self.numbers)
        try:
            yield self._url(number)
        finally:
            if self.running:
                self._ask(f"SELECT {number}", "FLUSHDB")

    def _ask(self, *commands: str) -> bytes:
        """Return the server's answer to all commands. Raises `OSError` where nothing listens."""
        lines = "".join(f"{command}\r\n" for command in (f"AUTH {self.password}", *commands, "QUIT"))
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(lines.encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        return answer.removesuffix(b"+OK\r\n")
