"""Defines the options of a BigQuery source or destination."""

from pydantic import Field

from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions, WarehouseTimeouts


class BigQuerySourceOptions(SqlSourceOptions):
    """Holds settings of a BigQuery source."""

    timeouts: WarehouseTimeouts = Field(default_factory=WarehouseTimeouts, description="In seconds.")


class BigQueryDestinationOptions(SqlDestinationOptions):
    """Holds settings of a BigQuery destination."""

    timeouts: WarehouseTimeouts = Field(default_factory=WarehouseTimeouts, description="In seconds.")
