"""Takes a `bigquery://` URL apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of
from loom_connectors.sql.table_name import NameRules, TableName

_SETTINGS = ("location", "credentials", "credentials_file", "endpoint")
_FORM = "bigquery://project/dataset?table=name"
_GOOGLE = "https://bigquery.googleapis.com"
NAMES = NameRules("BigQuery", 300, in_characters=True, folds_case=True)
"""Says what names of columns BigQuery can tell apart."""


@dataclass(frozen=True, slots=True)
class Address:
    """Represents a `bigquery://` URL, taken apart. Its representation holds no secret."""

    project: str
    dataset: str
    table: TableName | None
    location: str | None
    """Says where jobs run, e.g. `EU`; None where BigQuery finds it out."""
    endpoint: str
    credentials: str | None = field(repr=False)
    """The key of a service account, as JSON; None where the machine's own credentials are used."""
    credentials_file: str | None = field(repr=False)

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Raises `ConfigurationError`, and `PathNotAllowed` for a file of credentials out of the project."""
        url = server_url(location, context.credentials, "bigquery")
        project, dataset = url.hostname or "", unquote(url.path.strip("/"))
        if not project or not dataset or "/" in dataset or url.username:
            raise ConfigurationError(f"The bigquery:// URL names no project or no dataset: expected {_FORM}.")
        query = held_files(settings_of(url, "bigquery", ("table", *_SETTINGS)), ("credentials_file",), context)
        table = query.get("table")
        name = TableName.of(table) if table else None
        if name is not None:
            NAMES.check_table(name, "bigquery")
        return Address(
            project=project,
            dataset=dataset,
            table=name,
            location=query.get("location") or None,
            endpoint=(query.get("endpoint") or _GOOGLE).rstrip("/"),
            credentials=query.get("credentials") or None,
            credentials_file=query.get("credentials_file") or None,
        )

    @property
    def is_google(self) -> bool:
        """Tell whether it is Google's service, which demands credentials; an emulator demands none."""
        return self.endpoint == _GOOGLE

    @property
    def shown(self) -> str:
        """Return the URL as it is shown to people."""
        return f"bigquery://{self.project}/{self.dataset}"
