"""Runs a private emulator of Snowflake: fakesnow, which speaks the protocol of Snowflake's drivers and keeps the data
in DuckDB."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.program import Program

EMULATOR = Path(__file__).with_name("snowflake_program.py")
ACCOUNT = "loom"
USER = "loader"
DATABASE = "tests"


class Snowflake(Backend):
    """Runs the emulator. It is what the wheel brings, so it runs in no container."""

    name = "snowflake"
    port_names = ("snowflake",)

    @property
    def url(self) -> str:
        return self.url_of("public")

    def url_of(self, schema: str, *, account: str = ACCOUNT, password: str | None = None) -> str:
        """Return the URL of a schema, which is created by the first who connects."""
        place = f"{USER}:{password or self.password}@{account}/{DATABASE}/{schema}"
        return f"snowflake://{place}?host=127.0.0.1&port={self.port}&protocol=http"

    def schema(self) -> str:
        """Return the URL of a schema that nobody else uses."""
        return self.url_of(f"s{uuid4().hex}")

    @property
    def public_key(self) -> Path:
        """Return the file of the public key by which its user may log in, too."""
        return self.folder / "user.pub"

    def programs(self) -> Sequence[Program]:
        settings = {"LOOM_PORT": str(self.port), "LOOM_PASSWORD": self.password, "LOOM_KEY": str(self.public_key)}
        command = (sys.executable, "-I", str(EMULATOR))
        return [Program(self.name, command, {**settings, "HOME": str(self.folder)}, self.folder)]

    def image(self) -> Image | None:
        return None

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return True
        except OSError:
            return False


def asked(url: str, sql: str) -> Sequence[Sequence[Any]]:
    """Run a statement by the driver alone. Returns the rows of a query."""
    import snowflake.connector as driver

    place = urlsplit(url)
    database, _, schema = place.path.strip("/").partition("/")
    with (
        driver.connect(
            account=place.hostname,
            user=place.username,
            password=place.password,
            database=database,
            schema=schema,
            session_parameters={"CLIENT_TELEMETRY_ENABLED": False},
            platform_detection_timeout_seconds=0.0,
            **dict(parse_qsl(place.query)),
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]
