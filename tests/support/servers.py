"""Starts the servers of a test run once, and lends them to all of its workers.

The process that pytest was started in owns them: it starts each when a test of any worker first asks for it, over a
Unix socket, and ends all of them. They also end where that process dies, or a worker does. A test that stops, kills or
restarts a server has one of its own, which its worker starts."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from loom_dev.backends import Backend, MariaDB, Postgres, RabbitMQ, Redis, SeaweedFS
from loom_dev.backends.redis import DATABASES
from loom_dev.emulators.kafka import Kafka
from loom_dev.emulators.snowflake import Snowflake
from loom_dev.errors import BackendUnavailable

KINDS: dict[str, type[Backend]] = {each.name: each for each in (RabbitMQ, Postgres, MariaDB, Redis, Kafka, SeaweedFS)}
"""Holds what is lent. Emulators of databases are not: one worker has all tests that use one."""
NUMBERS = 500
"""Says how many databases of Redis are set aside for a worker."""

AnyBackend = TypeVar("AnyBackend", bound=Backend)


class Lender(Protocol):
    def serve(self, name: str, beside: Collection[str] = ()) -> Backend:
        """Return the server of that name when it serves, and begin to start those `beside` it.

        Raises `BackendUnavailable`."""


class Owner:
    """Starts servers when they are first asked for, each once and side by side, and ends them."""

    def __init__(self) -> None:
        self._starting: dict[str, Future[Backend]] = {}
        self._asking = threading.Lock()
        self._pool = ThreadPoolExecutor(len(KINDS), "servers")

    def serve(self, name: str, beside: Collection[str] = ()) -> Backend:
        with self._asking:
            for each in {name, *beside}.intersection(KINDS).difference(self._starting):
                self._starting[each] = self._pool.submit(_started, KINDS[each])
        return self._starting[name].result()

    def close(self) -> None:
        with self._asking:
            for each in self._starting.values():
                with suppress(BackendUnavailable):
                    each.result().close()
            self._pool.shutdown()


def _started(kind: type[Backend]) -> Backend:
    return kind().start()


class _Socket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Lending:
    """Lends the servers of an owner to other processes of this machine and user."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._folder = tempfile.mkdtemp(prefix="loom-servers-")
        self.address = str(Path(self._folder, "socket"))
        self._socket = _Socket(self.address, self._answer)
        self._thread = threading.Thread(target=self._socket.serve_forever, name="lending", daemon=True)
        self._thread.start()

    def _answer(self, connection: socket.socket, _address: object, _server: object) -> None:
        """Answer one question, a line of JSON, with the place of a server or with why there is none."""
        with connection, connection.makefile("rw", encoding="utf-8") as line, suppress(BrokenPipeError):
            asked = json.loads(line.readline())
            try:
                answer = self._owner.serve(asked["name"], asked["beside"]).place
            except BackendUnavailable as error:
                answer = {"error": str(error)}
            line.write(json.dumps(answer))

    def close(self) -> None:
        self._socket.shutdown()
        self._thread.join()
        self._socket.server_close()
        shutil.rmtree(self._folder)
        self._owner.close()


class Borrower:
    """Asks the process that owns the servers for them."""

    def __init__(self, address: str, number: int) -> None:
        self._address = address
        self._number = number
        """The number of this worker among all that there were."""

    def serve(self, name: str, beside: Collection[str] = ()) -> Backend:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._address)
            with connection.makefile("rw", encoding="utf-8") as line:
                line.write(json.dumps({"name": name, "beside": sorted(beside)}) + "\n")
                line.flush()
                answer = json.loads(line.read())
        if "error" in answer:
            raise BackendUnavailable(answer["error"])
        backend = KINDS[name].lent(answer)
        if isinstance(backend, Redis):
            first = 1 + self._number * NUMBERS % (DATABASES - NUMBERS)
            backend.numbers = itertools.cycle(range(first, first + NUMBERS))
        return backend


class Servers:
    """Holds the servers of the tests of one process: those that are lent to it, and those of its own."""

    def __init__(self, lender: Lender, named: Collection[str]) -> None:
        self._lender = lender
        self._named = named
        """Names what the collected tests ask for, all of which is started together."""
        self._lent: dict[str, Backend] = {}
        self._own: dict[str, Backend] = {}

    @property
    def rabbitmq(self) -> RabbitMQ:
        return self._served(RabbitMQ)

    @property
    def postgres(self) -> Postgres:
        return self._served(Postgres)

    @property
    def mariadb(self) -> MariaDB:
        return self._served(MariaDB)

    @property
    def redis(self) -> Redis:
        return self._served(Redis)

    @property
    def kafka(self) -> Kafka:
        return self._served(Kafka)

    @property
    def seaweedfs(self) -> SeaweedFS:
        return self._served(SeaweedFS)

    @property
    def snowflake(self) -> Snowflake:
        return self.own(Snowflake)

    def _served(self, kind: type[AnyBackend]) -> AnyBackend:
        if kind.name not in self._lent:
            self._lent[kind.name] = self._lender.serve(kind.name, self._named)
        backend = self._lent[kind.name]
        assert isinstance(backend, kind)
        return backend

    def own(self, kind: type[AnyBackend]) -> AnyBackend:
        """Return a server of this process that its tests may stop and kill. It is found in service again."""
        if kind.name not in self._own:
            self._own[kind.name] = kind()
        backend = self._own[kind.name]
        assert isinstance(backend, kind)
        if not backend.running:
            backend.start()
        return backend

    def close(self) -> None:
        for backend in self._own.values():
            backend.close()
