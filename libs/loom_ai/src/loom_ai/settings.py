"""Reads how models are called, from the environment: `LOOM_MODELS_CONCURRENCY`, `LOOM_MODELS_TOTAL_TIMEOUT` ..."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from loom_common.config.environment import EnvironmentSettings


class ModelSettings(EnvironmentSettings):
    """Holds the limits of one process. All times in seconds."""

    model_config = SettingsConfigDict(env_prefix="LOOM_MODELS_", frozen=True, defer_build=True)

    concurrency: int = Field(
        64, ge=1, description="How many calls are in flight at once to a model whose provider sets no `concurrency`."
    )
    connect_timeout: float = Field(5.0, gt=0, description="How long a connection to the endpoint may take.")
    read_timeout: float = Field(30.0, gt=0, description="How long the next piece of an answer may take.")
    total_timeout: float = Field(35.0, gt=0, description="How long one attempt may take in all.")
    attempts: int = Field(3, ge=1, description="How often one call is tried before its batch is put back for later.")
    retry_delay: float = Field(
        1.0, gt=0, description="How long the second attempt waits. Each further one waits twice as long."
    )
    retry_ceiling: float = Field(60.0, gt=0, description="How long an attempt waits at most.")


class BatchSettings(EnvironmentSettings):
    """Holds the times of what looks after the batches of providers, in seconds."""

    model_config = SettingsConfigDict(env_prefix="LOOM_BATCHES_", frozen=True, defer_build=True)

    poll_seconds: float = Field(30.0, gt=0, description="How often a provider is asked how far a batch is.")
    gather_seconds: float = Field(
        15.0, ge=0, description="How long no request must have come before those gathered are submitted."
    )
    lease_seconds: float = Field(
        20.0,
        gt=0,
        description="How long the batches of a worker that died wait for another. Clocks must differ by less.",
    )
    submit_seconds: float = Field(
        300.0,
        gt=0,
        description="What the submission of a batch may take. One whose submission was interrupted is submitted again "
        "only after this time, if the provider does not list it.",
    )


class BudgetSettings(EnvironmentSettings):
    """Says how replicas share the budget of a run."""

    model_config = SettingsConfigDict(env_prefix="LOOM_BUDGET_", frozen=True, defer_build=True)

    lease_seconds: float = Field(
        60.0, gt=0, description="How long the reservations of a replica that died are held. Clocks must differ by less."
    )
