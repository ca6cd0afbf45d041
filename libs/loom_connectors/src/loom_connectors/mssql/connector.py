"""Opens what `mssql://` means: a `Source` and a `Destination`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed, SourceError
from loom_connectors.mssql.address import Address
from loom_connectors.mssql.dialect import MssqlDialect
from loom_connectors.mssql.server import Server
from loom_connectors.mssql.source_dialect import MssqlLookupDialect, MssqlSourceDialect
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_connectors.sql.reading.query_source import QuerySource


def open_source(config: ExtractConfig, context: ConnectorContext) -> QuerySource:
    """Open an `mssql://` query or table. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, config.options, "extract")
    address = Address.of(config.source, context)
    server = Server(address, options.timeouts, SourceError)
    return QuerySource(config, context, options, MssqlSourceDialect(server), address.table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open an `mssql://` query or table to look records up in. Raises `ConfigurationError`, `InvalidDefinition`."""
    options = options_of(SqlSourceOptions, request.options, "transform")
    address = Address.of(request.location, context)
    dialect = MssqlLookupDialect(Server(address, options.timeouts, LookupFailed))
    return SqlLookup(request, context.params, dialect, address.table, options.timeouts.query)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open an `mssql://` table. Raises `ConfigurationError`."""
    options = options_of(SqlDestinationOptions, config.options, "load")
    address = Address.of(config.destination, context)
    server = Server(address, options.timeouts, DestinationError)
    return LedgerDestination(config, context, options, MssqlDialect(server), address.table)
