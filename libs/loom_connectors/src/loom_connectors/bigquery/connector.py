"""Opens what `bigquery://` means: a `Source`, a `Destination` and a `Lookup`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed, SourceError
from loom_connectors.bigquery.address import Address
from loom_connectors.bigquery.dialect import BigQueryDialect
from loom_connectors.bigquery.options import BigQueryDestinationOptions, BigQuerySourceOptions
from loom_connectors.bigquery.server import Server
from loom_connectors.bigquery.source_dialect import BigQuerySourceDialect
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_connectors.sql.reading.query_source import QuerySource


class BigQueryDestination(LedgerDestination):
    """Loads into a table of BigQuery."""

    @property
    def keeps_rows(self) -> str | None:
        return (
            f"{self.location}: how many rows a script removed, BigQuery does not say before it has ended, so rows are "
            "not withdrawn from it. Remove them by their keys."
        )


def open_source(config: ExtractConfig, context: ConnectorContext) -> QuerySource:
    """Open a `bigquery://` query or table. Raises `ConfigurationError`."""
    options = options_of(BigQuerySourceOptions, config.options, "extract")
    address = Address.of(config.source, context)
    server = Server(address, options.timeouts, SourceError)
    return QuerySource(config, context, options, BigQuerySourceDialect(server), address.table)


def open_destination(config: LoadConfig, context: ConnectorContext) -> BigQueryDestination:
    """Open a `bigquery://` table. Raises `ConfigurationError`."""
    options = options_of(BigQueryDestinationOptions, config.options, "load")
    address = Address.of(config.destination, context)
    server = Server(address, options.timeouts, DestinationError)
    return BigQueryDestination(config, context, options, BigQueryDialect(server), address.table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open a `bigquery://` table or query that records are looked up in. Raises `ConfigurationError`."""
    options = options_of(BigQuerySourceOptions, request.options, "transform")
    address = Address.of(request.location, context)
    dialect = BigQuerySourceDialect(Server(address, options.timeouts, LookupFailed))
    return SqlLookup(request, context.params, dialect, address.table, options.timeouts.query)
