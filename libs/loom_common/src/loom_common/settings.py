"""Settings from the environment, one class per backend. `LOOM_BUS_URL`, `LOOM_STATE_URL` ...

The defaults are a laptop's: everything embedded, everything under `.loom/` in the project folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class BusSettings(BaseSettings):
    """`memory://` for in-process, `amqp://user:password@host/vhost` for RabbitMQ."""

    model_config = SettingsConfigDict(env_prefix="LOOM_BUS_", frozen=True)

    url: SecretStr = SecretStr("memory://")


class StateSettings(BaseSettings):
    """Run state and quarantine: `sqlite:///path` or `postgresql://...`."""

    model_config = SettingsConfigDict(env_prefix="LOOM_STATE_", frozen=True)

    url: SecretStr = SecretStr("sqlite:///.loom/loom.db")


class JournalSettings(BaseSettings):
    """Results of model calls: `sqlite:///path`, `postgresql://...` or `redis://...`."""

    model_config = SettingsConfigDict(env_prefix="LOOM_JOURNAL_", frozen=True)

    url: SecretStr = SecretStr("sqlite:///.loom/journal.db")


class PayloadSettings(BaseSettings):
    """Plans and large messages: `file:///folder` (shared by all workers) or `postgresql://...`."""

    model_config = SettingsConfigDict(env_prefix="LOOM_PAYLOADS_", frozen=True)

    url: SecretStr = SecretStr("file:.loom/payloads")


class LogSettings(BaseSettings):
    """How a process logs."""

    model_config = SettingsConfigDict(env_prefix="LOOM_LOG_", frozen=True)

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class WorkerSettings(BaseSettings):
    """How a stage works."""

    model_config = SettingsConfigDict(env_prefix="LOOM_WORKER_", frozen=True)

    prefetch: int = Field(8, ge=1, description="Batches in hand at once, per replica.")
    drain_seconds: float = Field(30.0, ge=0, description="How long to finish what is in hand when asked to stop.")


class Settings(BaseSettings):
    """Everything a service needs to know of its surroundings."""

    model_config = SettingsConfigDict(env_prefix="LOOM_", frozen=True)

    project_dir: Path = Field(Path(), description="Relative sources, destinations and functions start here.")
    credential_prefix: str = Field("", description="`${KEY}` is looked up as `<prefix>KEY` first, then as `KEY`.")
    bus: BusSettings = Field(default_factory=BusSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    payloads: PayloadSettings = Field(default_factory=PayloadSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
