"""Opens what `snowflake://` means: a `Source`, a `Destination` and a `Lookup`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed, SourceError
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.snowflake.address import Address
from loom_connectors.snowflake.dialect import SnowflakeDialect
from loom_connectors.snowflake.options import SnowflakeDestinationOptions, SnowflakeSourceOptions
from loom_connectors.snowflake.server import Server
from loom_connectors.snowflake.source_dialect import SnowflakeSourceDialect
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_connectors.sql.reading.query_source import QuerySource


def open_source(config: ExtractConfig, context: ConnectorContext) -> QuerySource:
    """Open a `snowflake://` query or table. Raises `ConfigurationError`."""
    options = options_of(SnowflakeSourceOptions, config.options, "extract")
    address = Address.of(config.source, context)
    server = Server(address, options.timeouts, SourceError)
    return QuerySource(config, context, options, SnowflakeSourceDialect(server), address.table)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open a `snowflake://` table. Raises `ConfigurationError`."""
    options = options_of(SnowflakeDestinationOptions, config.options, "load")
    address = Address.of(config.destination, context)
    server = Server(address, options.timeouts, DestinationError)
    return LedgerDestination(config, context, options, SnowflakeDialect(server), address.table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open a `snowflake://` table or query that records are looked up in. Raises `ConfigurationError`."""
    options = options_of(SnowflakeSourceOptions, request.options, "transform")
    address = Address.of(request.location, context)
    dialect = SnowflakeSourceDialect(Server(address, options.timeouts, LookupFailed))
    return SqlLookup(request, context.params, dialect, address.table, options.timeouts.query)
