"""Reads what only the coordinator can be told, from the environment: `LOOM_COORDINATOR_...`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from loom_common.config.environment import EnvironmentSettings


class CoordinatorSettings(EnvironmentSettings):
    """Holds the coordinator's times, all in seconds, and who may ask it."""

    model_config = SettingsConfigDict(env_prefix="LOOM_COORDINATOR_", frozen=True, defer_build=True)

    stuck_seconds: float = Field(
        30.0,
        gt=0,
        description="Of silence, while nothing is on the bus, until what a run waits for is asked for again.",
    )
    facts_together: bool = Field(
        True,
        description="Lets services tell of several batches by one message, `loom.batch.facts.v1`. False before a "
        "coordinator of an earlier version is started, and where others read `batch.loaded.<pipeline>`.",
    )
    access_file: Path | None = Field(
        None, description="A loom.yaml whose `access.policies` hold for run requests and commands over AMQP."
    )
    trusted_users: tuple[str, ...] = Field(
        (), description="Users of the broker whose messages are carried out as they are, besides its own."
    )
