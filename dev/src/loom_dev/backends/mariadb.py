"""Runs a private MariaDB server."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pymysql

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.debian import Package
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

PACKAGE = Package("mariadb-server", ("/usr/sbin", "/usr/bin"))
USER = "loom"


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user to run MariaDB as, because it refuses to run as root; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("mysql")
    except KeyError:
        return pwd.getpwnam("nobody")


class MariaDB(Backend):
    """Runs MariaDB. Without `durable`, a commit survives the server's crash but not the machine's."""

    name = "mariadb"
    port_names = ("mariadb",)

    @property
    def url(self) -> str:
        """Return the URL of the server, as a user who may do everything."""
        return self.url_of("")

    def url_of(self, database: str) -> str:
        return f"mysql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def _temporary_files(self) -> Path:
        """Return a folder of its own: a server that starts removes the temporary tables of others from a shared one."""
        return self.folder / "tmp"

    def _settings(self) -> list[str]:
        settings = {
            "character-set-server": "utf8mb4",
            "innodb-buffer-pool-size": "64M",
            "skip-name-resolve": "ON",
            "max-connections": "500",
        }
        if not self.durable:
            nothing_synced = {"innodb-flush-method": "nosync", "sync-frm": "OFF"}
            settings |= {"innodb-flush-log-at-trx-commit": "0", "innodb-doublewrite": "0", **nothing_synced}
        return [f"--{name}={value}" for name, value in settings.items()]

    def programs(self) -> Sequence[Program]:
        server, installer = PACKAGE.require("mariadbd"), PACKAGE.require("mariadb-install-db")
        user, data, first = unprivileged_user(), self.folder / "data", self.folder / "first.sql"
        first.touch(mode=0o600)
        first.write_text(
            f"CREATE OR REPLACE USER {USER}@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        self._temporary_files.mkdir(exist_ok=True)
        if user:
            for path in (self.folder, self._temporary_files, first):
                os.chown(path, user.pw_uid, user.pw_gid)
        if not (data / "mysql").exists():
            self._initialise(installer, user)
        command = (
            server, "--no-defaults", f"--datadir={data}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={self.folder}/socket", f"--tmpdir={self._temporary_files}", f"--pid-file={self.folder}/pid",
            f"--init-file={first}",
            *self._settings(),
        )  # fmt: skip
        return [Program(self.name, command, {}, self.folder, user=user)]

    def _initialise(self, installer: str, user: pwd.struct_passwd | None) -> None:
        command = [installer, "--no-defaults", f"--datadir={self.folder}/data", "--skip-test-db"]
        command += ["--auth-root-authentication-method=normal", "--skip-name-resolve"]
        if user:
            command.append(f"--user={user.pw_name}")
        environ = {**os.environ, "TMPDIR": str(self._temporary_files)}
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
            raise BackendUnavailable(f"mariadb-install-db failed in {self.folder}:\n{last}")

    def image(self) -> Image:
        environment = {
            "MARIADB_USER": USER,
            "MARIADB_PASSWORD": self.password,
            "MARIADB_ROOT_PASSWORD": self.password,
            "MARIADB_INITDB_SKIP_TZINFO": "1",
        }
        return Image("mariadb:10.11", {3306: self.port}, environment, tuple(self._settings()))

    def is_ready(self) -> bool:
        """Say whether the server sends its greeting, which is of protocol version 10."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.settimeout(2)
                return connection.recv(5)[4:] == b"\x0a"
        except OSError:
            return False

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Create an empty database and return its URL; it is dropped after the block."""
        name = f"test_{uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        try:
            yield self.url_of(name)
        finally:
            if self.running:
                self._execute(f"DROP DATABASE IF EXISTS {name}")

    def _execute(self, statement: str) -> None:
        with (
            contextlib.closing(
                pymysql.connect(
                    host="127.0.0.1",
                    port=self.port,
                    user=USER,
                    password=self.password,
                    ssl_disabled=True,  # or else each connection loads the certificates of all authorities
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
