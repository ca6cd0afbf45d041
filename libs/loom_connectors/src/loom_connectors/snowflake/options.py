"""Defines the options of a Snowflake source or destination."""

from __future__ import annotations

from pydantic import Field

from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions, Timeouts


class WarehouseTimeouts(Timeouts):
    """Holds the seconds until Snowflake is given up on. A suspended warehouse takes some of them to resume."""

    connect: float = Field(30.0, gt=0, description="Logging in.")
    query: float = Field(60.0, gt=0, description="One page of a source.")
    count: float = Field(30.0, gt=0, description="Counting a source. Past it, the total stays unknown.")
    load: float = Field(60.0, gt=0, description="One statement of a load.")
    transaction: float = Field(300.0, gt=0, description="All that a batch needs.")


class SnowflakeSourceOptions(SqlSourceOptions):
    """Holds settings of a Snowflake source."""

    timeouts: WarehouseTimeouts = Field(default_factory=WarehouseTimeouts, description="In seconds.")


class SnowflakeDestinationOptions(SqlDestinationOptions):
    """Holds settings of a Snowflake destination."""

    timeouts: WarehouseTimeouts = Field(default_factory=WarehouseTimeouts, description="In seconds.")
