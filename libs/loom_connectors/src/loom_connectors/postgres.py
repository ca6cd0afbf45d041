"""What `postgres://` means: a `Source` and a `Destination`."""

from __future__ import annotations

from loom_common.domain.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports import Surroundings
from loom_connectors.postgres_destination import PostgresDestination
from loom_connectors.postgres_source import PostgresSource


def open_source(config: ExtractConfig, surroundings: Surroundings) -> PostgresSource:
    """A `postgres://` query or table. Raises `ConfigurationError`."""
    return PostgresSource(config, surroundings)


def open_destination(config: LoadConfig, surroundings: Surroundings) -> PostgresDestination:
    """A `postgres://` table. Raises `ConfigurationError`."""
    return PostgresDestination(config, surroundings)
