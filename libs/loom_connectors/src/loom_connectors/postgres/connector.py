"""Opens what `postgres://` means: a `Source`, a `Destination` and a `Lookup`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.postgres.dialect import PostgresDialect
from loom_connectors.postgres.lookup import PostgresLookupDialect
from loom_connectors.postgres.server import Address, Server
from loom_connectors.postgres.source import PostgresSource
from loom_connectors.postgres.values import SESSION
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_connectors.sql.reading.lookup import SqlLookup


def open_source(config: ExtractConfig, context: ConnectorContext) -> PostgresSource:
    """Open a `postgres://` query or table. Raises `ConfigurationError`."""
    return PostgresSource(config, context)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open a `postgres://` table. Raises `ConfigurationError`."""
    options = options_of(SqlDestinationOptions, config.options, "load")
    address = Address.of(config.destination, context)
    dialect = PostgresDialect(Server(address, options.timeouts, DestinationError), options.timeouts)
    return LedgerDestination(config, context, options, dialect, address.table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open a `postgres://` table or query that records are looked up in. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, request.options, "transform")
    address = Address.of(request.location, context)
    dialect = PostgresLookupDialect(Server(address, options.timeouts, LookupFailed, SESSION))
    return SqlLookup(request, context.params, dialect, address.table, options.timeouts.query)
