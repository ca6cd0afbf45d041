"""Reads how models are called, from the environment: `LOOM_MODELS_CONCURRENCY`, `LOOM_MODELS_TOTAL_TIMEOUT` ..."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ModelSettings(BaseSettings):
    """Limits of one process. All times in seconds."""

    model_config = SettingsConfigDict(env_prefix="LOOM_MODELS_", frozen=True)

    concurrency: int = Field(
        64, ge=1, description="Calls in flight at once to a model whose provider sets no `concurrency`."
    )
    connect_timeout: float = Field(5.0, gt=0, description="To reach the endpoint.")
    read_timeout: float = Field(30.0, gt=0, description="Between two pieces of an answer.")
    total_timeout: float = Field(35.0, gt=0, description="For one attempt in all.")
    attempts: int = Field(3, ge=1, description="Tries of one call before its batch is set back for later.")
    retry_delay: float = Field(1.0, gt=0, description="Before the second attempt; doubles from there.")
    retry_ceiling: float = Field(60.0, gt=0, description="The longest wait between two attempts.")


class BudgetSettings(BaseSettings):
    """Says how replicas share the budget of a run."""

    model_config = SettingsConfigDict(env_prefix="LOOM_BUDGET_", frozen=True)

    lease_seconds: float = Field(
        60.0, gt=0, description="Until the reservations of a replica that died count as lost. Clocks may differ less."
    )
