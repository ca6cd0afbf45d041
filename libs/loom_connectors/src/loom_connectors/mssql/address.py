"""Takes an `mssql://` URL apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of
from loom_connectors.sql.table_name import NameRules, TableName

_SETTINGS = ("ca", "verify_host")
NAMES = NameRules("SQL Server", 128, in_characters=True, folds_case=True)
"""Says what names SQL Server can tell apart, with the collation that a database usually has."""


@dataclass(frozen=True, slots=True)
class Address:
    """Represents an `mssql://` URL, taken apart. Its representation holds no secret."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    table: TableName | None
    ca: str | None
    """Names a file with certificates to trust, in the place of those that everybody trusts."""
    verify_host: bool
    """Tells whether the certificate must name the host."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Raises `ConfigurationError`, without the URL: it may hold a password in the wrong place, and
        `PathNotAllowed`."""
        url = server_url(location, context.credentials, "mssql")
        database = unquote(url.path.strip("/"))
        if not url.hostname or not database or "/" in database:
            raise ConfigurationError(
                "The mssql:// URL names no host or no database: mssql://user:password@host/database."
            )
        if not url.username or url.password is None:
            raise ConfigurationError(
                "The mssql:// URL names no user or no password: mssql://user:password@host/database. Loom logs in by "
                "the authentication of SQL Server, and not by that of Windows."
            )
        query = held_files(settings_of(url, "mssql", ("table", *_SETTINGS)), ("ca",), context)
        verify = query.get("verify_host", "true")
        if verify not in ("true", "false"):
            raise ConfigurationError("The mssql:// URL has verify_host with another value than true or false.")
        name = TableName.of(query["table"]) if query.get("table") else None
        if name is not None:
            NAMES.check_table(name, "mssql")
        user, password = unquote(url.username), unquote(url.password)
        return Address(
            url.hostname, url.port or 1433, user, password, database, name, query.get("ca"), verify == "true"
        )

    @property
    def shown(self) -> str:
        """Return the URL as it is shown to people."""
        return f"mssql://{self.host}:{self.port}/{self.database}"
