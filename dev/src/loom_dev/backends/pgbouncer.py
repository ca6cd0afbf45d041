"""Runs a private PgBouncer in front of a Postgres."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.debian import Package
from loom_dev.backends.postgres import unprivileged_user
from loom_dev.backends.program import Program

PACKAGE = Package("pgbouncer", ("/usr/sbin", "/usr/bin"))
IGNORED = "extra_float_digits,statement_timeout,idle_in_transaction_session_timeout"


class PgBouncer(Backend):
    """Runs a PgBouncer that pools connections to the database of a URL."""

    name = "pgbouncer"
    port_names = ("pgbouncer",)

    def __init__(self, database_url: str, pool_mode: str, folder: Path | None = None) -> None:
        """Take the URL of a database that can be reached from here, and `session` or `transaction`."""
        super().__init__(folder)
        self._database = urlsplit(database_url)
        self._pool_mode = pool_mode

    @property
    def url(self) -> str:
        """Return the DSN of the same database through the pooler."""
        user, password = self._database.username, self._database.password
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}{self._database.path}"

    def programs(self) -> Sequence[Program]:
        place, user = self._database, unprivileged_user()
        files = {
            "pgbouncer.ini": (
                f"[databases]\n* = host=127.0.0.1 port={place.port}\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
                f"auth_type = plain\nauth_file = {self.folder}/users.txt\npool_mode = {self._pool_mode}\n"
                f"ignore_startup_parameters = {IGNORED}\n"
            ),
            "users.txt": f'"{place.username}" "{place.password}"\n',
        }
        for name, text in files.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)
            if user:
                os.chown(path, user.pw_uid, user.pw_gid)
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        command = (PACKAGE.require("pgbouncer"), f"{self.folder}/pgbouncer.ini")
        return [Program(self.name, command, {}, self.folder, user=user)]

    def image(self) -> Image:
        host = "host.docker.internal"
        environment = {
            "DATABASE_URL": self._database._replace(netloc=self._database.netloc.replace("127.0.0.1", host)).geturl(),
            "POOL_MODE": self._pool_mode,
            "AUTH_TYPE": "plain",
            "IGNORE_STARTUP_PARAMETERS": IGNORED,
        }
        return Image("edoburu/pgbouncer:v1.23.1-p3", {5432: self.port}, environment)

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return True
        except OSError:
            return False
