"""Opens what `duckdb://` means: a `Source`, a `Destination` and a `Lookup`."""

from __future__ import annotations

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, LookupFailed, SourceError
from loom_connectors.duckdb.dialect import DuckdbDialect
from loom_connectors.duckdb.file import DuckdbFile
from loom_connectors.duckdb.source_dialect import DuckdbSourceDialect
from loom_connectors.options import options_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import LookupRequest
from loom_connectors.sql.loading.ledger_destination import LedgerDestination
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_connectors.sql.reading.query_source import QuerySource


def open_source(config: ExtractConfig, context: ConnectorContext) -> QuerySource:
    """Open a `duckdb://` query or table. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, config.options, "extract")
    file, table = DuckdbFile.of(config.source, context, SourceError, options.timeouts)
    return QuerySource(config, context, options, DuckdbSourceDialect(file), table)


def open_destination(config: LoadConfig, context: ConnectorContext) -> LedgerDestination:
    """Open a `duckdb://` table. Raises `ConfigurationError`."""
    options = options_of(SqlDestinationOptions, config.options, "load")
    file, table = DuckdbFile.of(config.destination, context, DestinationError, options.timeouts)
    return LedgerDestination(config, context, options, DuckdbDialect(file), table)


def open_lookup(request: LookupRequest, context: ConnectorContext) -> SqlLookup:
    """Open a `duckdb://` table or query that records are looked up in. Raises `ConfigurationError`."""
    options = options_of(SqlSourceOptions, request.options, "transform")
    file, table = DuckdbFile.of(request.location, context, LookupFailed, options.timeouts)
    return SqlLookup(request, context.params, DuckdbSourceDialect(file), table, options.timeouts.query)
