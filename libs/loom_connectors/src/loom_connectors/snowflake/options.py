"""Defines the options of a Snowflake source or destination."""

from pydantic import Field

from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions, WarehouseTimeouts


class SnowflakeSourceOptions(SqlSourceOptions):
    """Holds settings of a Snowflake source."""

    timeouts: WarehouseTimeouts = Field(default_factory=WarehouseTimeouts, description="In seconds.")


class SnowflakeDestinationOptions(SqlDestinationOptions):
    """Holds settings of a Snowflake destination."""

    timeouts: WarehouseTimeouts = Field(default_factory=WarehouseTimeouts, description="In seconds.")
