"""Runs a private Postgres server."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.debian import Package
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

PACKAGE = Package("postgresql", ("/usr/lib/postgresql/*/bin",))
USER = "loom"
PROTOCOL_3 = 196_608
DISCONNECT_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
OUTSIDE_OF_SCHEMAS = """
    SELECT EXISTS (SELECT FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
                   WHERE datname = current_database())
        OR EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL)
        OR EXISTS (SELECT FROM pg_default_acl) OR EXISTS (SELECT FROM pg_event_trigger)
        OR EXISTS (SELECT FROM pg_foreign_data_wrapper) OR EXISTS (SELECT FROM pg_largeobject_metadata)
        OR EXISTS (SELECT FROM pg_publication) OR EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql')
        OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
"""
"""Tells whether a database holds what is not removed with its schemas, or is not as it was made."""
EMPTY = """
    DO $$
    DECLARE
        each name;
    BEGIN
        FOR each IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', each);
        END LOOP;
    END $$;
    CREATE SCHEMA public AUTHORIZATION pg_database_owner;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
"""Removes all schemas with what they hold, and makes the one that a new database has."""


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user to run Postgres as, because it refuses to run as root; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class Postgres(Backend):
    """Runs Postgres. Without `durable`, a commit survives the server's crash but not the machine's."""

    name = "postgres"
    port_names = ("postgres",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._emptied: list[str] = []
        """Databases that may be given out again."""

    @property
    def url(self) -> str:
        """Return the DSN of the database `postgres`, as its superuser."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def _settings(self) -> list[str]:
        settings = {"max_connections": "500"}
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "max_wal_size": "4GB"}
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def programs(self) -> Sequence[Program]:
        postgres, initdb = PACKAGE.require("postgres"), PACKAGE.require("initdb")
        user, data = unprivileged_user(), self.folder / "data"
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        if not (data / "PG_VERSION").exists():
            self._initialise(initdb, data, user)
        command = (postgres, "-D", str(data), "-p", str(self.port), "-h", "127.0.0.1", "-k", "", *self._settings())
        return [
            Program(
                self.name,
                command,
                {"LC_ALL": "C.UTF-8"},
                self.folder,
                user=user,
                stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
                kill_signal=signal.SIGQUIT,  # "immediate": no checkpoint, recovery at the next start
            )
        ]

    def _initialise(self, initdb: str, data: Path, user: pwd.struct_passwd | None) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        identity: dict[str, Any] = {}
        if user:
            os.chown(secret, user.pw_uid, user.pw_gid)
            identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        command = [initdb, "-D", str(data), "-U", USER, "--pwfile", str(secret), "--auth=scram-sha-256", "--no-sync"]
        done = subprocess.run(
            [*command, "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"],
            cwd=self.folder, capture_output=True, text=True, check=False, **identity,
        )  # fmt: skip
        secret.unlink()
        if done.returncode:
            raise BackendUnavailable(f"initdb failed in {data}:\n{done.stderr.strip()}")

    def image(self) -> Image:
        environment = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": self.password, "POSTGRES_DB": "postgres"}
        return Image("postgres:15-alpine", {5432: self.port}, environment, ("postgres", *self._settings()))

    def is_ready(self) -> bool:
        """Say whether a start-up packet is answered with an authentication request, and not with "starting up"."""
        fields = f"user\0{USER}\0database\0postgres\0\0".encode()
        packet = struct.pack("!ii", len(fields) + 8, PROTOCOL_3) + fields
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(packet)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Provide an empty database and return its DSN. After the block its clients are disconnected, and it is emptied
        for whoever asks next: that takes a small part of the time that Postgres needs to make one."""
        name = self._emptied.pop() if self._emptied else await self.make()
        try:
            yield self.url_of(name)
        finally:
            if self.running:
                await self._take_back(name)

    async def make(self) -> str:
        """Create a database and return its name."""
        name = f"test_{uuid4().hex}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    async def drop(self, name: str) -> None:
        """Drop a database, even while clients are connected."""
        await self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _take_back(self, name: str) -> None:
        """Empty a database. One that holds what belongs to no schema, or has settings of its own, is dropped."""
        connection = await asyncpg.connect(self.url_of(name))
        try:
            await connection.execute(DISCONNECT_OTHERS)
            reusable = not await connection.fetchval(OUTSIDE_OF_SCHEMAS)
            if reusable:
                await connection.execute(EMPTY)
                self._emptied.append(name)
        finally:
            await connection.close()
        if not reusable:
            await self.drop(name)

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
