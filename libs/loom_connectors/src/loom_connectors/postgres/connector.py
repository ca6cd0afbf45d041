"""What `postgres://` means: a `Source` and a `Destination`."""

from __future__ import annotations

from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports import ConnectorContext
from loom_connectors.postgres.destination import PostgresDestination
from loom_connectors.postgres.source import PostgresSource


def open_source(config: ExtractConfig, surroundings: ConnectorContext) -> PostgresSource:
    """A `postgres://` query or table. Raises `ConfigurationError`."""
    return PostgresSource(config, surroundings)


def open_destination(config: LoadConfig, surroundings: ConnectorContext) -> PostgresDestination:
    """A `postgres://` table. Raises `ConfigurationError`."""
    return PostgresDestination(config, surroundings)
