"""Opens what `postgres://` means: a `Source` and a `Destination`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.postgres.dialect import PostgresDialect
from loom_connectors.postgres.server import Address, Server
from loom_connectors.postgres.source import PostgresSource
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.parameters import SqlDestinationOptions


def open_source(config: ExtractConfig, context: ConnectorContext) -> PostgresSource:
    """Open a `postgres://` query or table. Raises `ConfigurationError`."""
    return PostgresSource(config, context)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open a `postgres://` table. Raises `ConfigurationError`."""
    options = options_of(SqlDestinationOptions, config.options, "load")
    address = Address.of(config.destination, context)
    dialect = PostgresDialect(Server(address, options.timeouts, DestinationError), options.timeouts)
    return LedgerDestination(config, context, options, dialect, address.table)
