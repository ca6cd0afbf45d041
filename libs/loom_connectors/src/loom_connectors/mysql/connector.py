"""Opens what `mysql://` and `mariadb://` mean: a `Source`, a `Destination` and a `Lookup`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed, SourceError
from loom_connectors.mysql.address import Address
from loom_connectors.mysql.dialect import MysqlDialect
from loom_connectors.mysql.server import Server
from loom_connectors.mysql.source_dialect import MysqlSourceDialect
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_connectors.sql.reading.query_source import QuerySource


def open_source(config: ExtractConfig, context: ConnectorContext) -> QuerySource:
    """Open a `mysql://` query or table. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, config.options, "extract")
    address = Address.of(config.source, context)
    server = Server(address, options.timeouts, SourceError, writes=False)
    return QuerySource(config, context, options, MysqlSourceDialect(server), address.table)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open a `mysql://` table. Raises `ConfigurationError`."""
    options = options_of(SqlDestinationOptions, config.options, "load")
    address = Address.of(config.destination, context)
    server = Server(address, options.timeouts, DestinationError, writes=True)
    return LedgerDestination(config, context, options, MysqlDialect(server), address.table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open a `mysql://` table or query that records are looked up in. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, request.options, "transform")
    address = Address.of(request.location, context)
    server = Server(address, options.timeouts, LookupFailed, writes=False)
    dialect = MysqlSourceDialect(server)
    return SqlLookup(request, context.params, dialect, address.table, options.timeouts.query)
