"""Takes a `snowflake://` URL apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of
from loom_connectors.sql.table_name import NameRules, TableName

_SETTINGS = (
    *("warehouse", "role", "private_key", "private_key_file", "private_key_passphrase", "authenticator", "token"),
    *("host", "port", "protocol"),
)
_FORM = "snowflake://user:password@account/database/schema?warehouse=name"
NAMES = NameRules("Snowflake", 255, in_characters=True)
"""Says what names Snowflake can tell apart: quoted ones are not folded."""


@dataclass(frozen=True, slots=True)
class Address:
    """Represents a `snowflake://` URL, taken apart. Its representation holds no secret."""

    account: str
    user: str | None
    password: str | None = field(repr=False)
    database: str
    schema: str
    table: TableName | None
    settings: dict[str, str] = field(repr=False)
    """Holds what follows in the URL, other than the table."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Raises `ConfigurationError`, without the URL: it may hold a password in the wrong place, and
        `PathNotAllowed`."""
        url = server_url(location, context.credentials, "snowflake")
        account = (url.hostname or "").removesuffix(".snowflakecomputing.com")
        database, _, schema = unquote(url.path.strip("/")).partition("/")
        if not account or not database or "/" in schema:
            raise ConfigurationError(f"The snowflake:// URL names no account or no database: expected {_FORM}.")
        query = held_files(settings_of(url, "snowflake", ("table", *_SETTINGS)), ("private_key_file",), context)
        table = query.pop("table", None)
        user, password = (None if each is None else unquote(each) for each in (url.username, url.password))
        name = TableName.of(table) if table else None
        if name is not None:
            NAMES.check_table(name, "snowflake")
        return Address(account, user, password, database, schema or "PUBLIC", name, query)

    @property
    def shown(self) -> str:
        """Return the URL as it is shown to people."""
        return f"snowflake://{self.account}/{self.database}/{self.schema}"
