"""Takes a `mysql://` URL apart."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of
from loom_connectors.sql.table_name import NameRules, TableName

_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_SETTINGS = (*_FILES, "ssl_verify_identity", "ssl_disabled", "unix_socket")
NAMES = NameRules("MySQL", 64, in_characters=True, folds_case=True)
"""Says what names MySQL and MariaDB can tell apart."""
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """Represents a `mysql://` URL, taken apart."""

    host: str
    port: int
    user: str | None
    password: str
    database: str
    table: TableName | None
    unix_socket: str | None = None
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    ssl_verify_identity: bool | None = None
    ssl_disabled: bool | None = None

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Raises `ConfigurationError`, without the URL: it may hold a password in the wrong place, and
        `PathNotAllowed`."""
        url = server_url(location, context.credentials, "mysql")
        database = unquote(url.path.strip("/"))
        if not database:
            raise ConfigurationError("The mysql:// URL names no database: mysql://user:password@host/database.")
        query = held_files(settings_of(url, "mysql", ("table", *_SETTINGS)), _FILES, context)
        name = TableName.of(query["table"]) if query.get("table") else None
        if name is not None:
            NAMES.check_table(name, "mysql")
        host = url.hostname or "localhost"
        here = host in _HERE and not any(key.startswith("ssl_") for key in query)
        user, password = (None if each is None else unquote(each) for each in (url.username, url.password))
        return Address(
            host,
            url.port or 3306,
            user,
            password or "",
            database,
            name,
            unix_socket=query.get("unix_socket"),
            ssl_ca=query.get("ssl_ca"),
            ssl_cert=query.get("ssl_cert"),
            ssl_key=query.get("ssl_key"),
            ssl_verify_identity=query.get("ssl_verify_identity") == "true" or None,
            # To prepare TLS takes most of the time of connecting.
            ssl_disabled=here or query.get("ssl_disabled") == "true",
        )

    @property
    def shown(self) -> str:
        """Return the URL as it is shown to people."""
        return f"mysql://{self.host}:{self.port}/{self.database}"
