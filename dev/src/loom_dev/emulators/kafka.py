"""Runs a private server that speaks the protocol of Kafka."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from loom_dev.backends.backend import Backend
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

_API_VERSIONS = struct.pack(">hhih", 18, 0, 7, -1)
"""Asks a broker what it speaks: the number of the request, its version, that of the question, and no name."""


class Kafka(Backend):
    """Runs noida-db as one broker, without users and without TLS. It writes its data down when it is stopped in order;
    what was written shortly before it is killed may be lost."""

    name = "kafka"
    port_names = ("kafka",)

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def programs(self) -> Sequence[Program]:
        package = find_spec("noida_db")
        if package is None or package.origin is None:
            raise BackendUnavailable("'noida-db' is not installed. Run `make dev`, which brings it.")
        found = Path(package.origin).with_name("noida-db")
        found.chmod(0o755)
        where = ("--data-dir", str(self.folder / "data"), "--only", "kafka", "--kafka-port", str(self.port))
        return [Program(self.name, (str(found), "start", *where), {"HOME": str(self.folder)}, self.folder)]

    def image(self) -> None:
        """Return None: it has no image."""

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
                return connection.recv(8)[4:] == struct.pack(">i", 7)
        except OSError:
            return False
