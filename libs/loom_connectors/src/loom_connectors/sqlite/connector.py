"""Opens what `sqlite://` means: a `Source`, a `Destination` and a `Lookup`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_connectors.sql.table_name import TableName
from loom_connectors.sqlite.dialect import SqliteDialect
from loom_connectors.sqlite.file import SqliteFile
from loom_connectors.sqlite.lookup import SqliteLookupDialect, bind
from loom_connectors.sqlite.source import SqliteSource


def open_source(config: ExtractConfig, context: ConnectorContext) -> SqliteSource:
    """Open a `sqlite://` query or table. Raises `ConfigurationError`."""
    return SqliteSource(config, context)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open a `sqlite://` table. Raises `ConfigurationError`."""
    options = options_of(SqlDestinationOptions, config.options, "load")
    file = SqliteFile.of(config.destination, context, DestinationError, options.timeouts)
    table = None if file.table is None else TableName(None, file.table)
    return LedgerDestination(config, context, options, SqliteDialect(file), table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open a `sqlite://` table or query that records are looked up in. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, request.options, "transform")
    file = SqliteFile.of(request.location, context, LookupFailed, options.timeouts)
    table = None if file.table is None else TableName(None, file.table)
    return SqlLookup(request, context.params, SqliteLookupDialect(file), table, options.timeouts.query, bind)
