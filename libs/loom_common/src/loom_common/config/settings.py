"""Reads settings from the environment, one class per backend: `LOOM_BUS_URL`, `LOOM_STATE_URL` and so on.

The defaults are for a laptop: everything runs in one process, with its files in `.loom/` in the project folder."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode, SettingsConfigDict

from loom_common.allowed_paths import listed
from loom_common.config.environment import EnvironmentSettings, address


def _listed(given: object) -> object:
    return listed(given) if isinstance(given, str) else given


def _named(given: object) -> object:
    return tuple(name for each in given.split(",") if (name := each.strip())) if isinstance(given, str) else given


StepName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,59}$")]
_SQL = ("sqlite:", "postgres:", "postgresql:")
_POSTGRES = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
BusAddress = Annotated[
    SecretStr, address("amqp://", "amqps://", "memory:", written="amqp://USER:PASSWORD@HOST:PORT/VHOST")
]
StateAddress = Annotated[
    SecretStr, address("sqlite:///", "postgresql://", "postgres://", written=f"sqlite:///PATH or {_POSTGRES}")
]
JournalAddress = Annotated[
    SecretStr,
    address(
        *("sqlite:///", "postgresql://", "postgres://", "redis://", "rediss://", "memory:"),
        written=f"sqlite:///PATH, {_POSTGRES} or redis://:PASSWORD@HOST:PORT/NUMBER",
    ),
]
PayloadsAddress = Annotated[
    SecretStr, address("file:", "postgresql://", "postgres://", written=f"file:///FOLDER or {_POSTGRES}")
]


class BusSettings(EnvironmentSettings):
    """Says which bus is used: `memory://` within the process, or `amqp://user:password@host/vhost` for RabbitMQ."""

    model_config = SettingsConfigDict(env_prefix="LOOM_BUS_", frozen=True, defer_build=True)

    url: BusAddress = SecretStr("memory://")
    names_user: bool = True
    """Tells whether run requests and commands name the user of `url` as their sender, whom RabbitMQ checks."""


class StateSettings(EnvironmentSettings):
    """Run state and quarantine: `sqlite:///path` or `postgresql://...`."""

    model_config = SettingsConfigDict(env_prefix="LOOM_STATE_", frozen=True, defer_build=True)

    url: StateAddress = SecretStr("sqlite:///.loom/loom.db")


class JournalSettings(EnvironmentSettings):
    """Says where results of model calls are kept: `sqlite:///path`, `postgresql://...` or `redis://...`."""

    model_config = SettingsConfigDict(env_prefix="LOOM_JOURNAL_", frozen=True, defer_build=True)

    url: JournalAddress = SecretStr("sqlite:///.loom/journal.db")


class PayloadSettings(EnvironmentSettings):
    """Says where plans and large messages are kept: `file:///folder` (shared by all workers) or `postgresql://...`."""

    model_config = SettingsConfigDict(env_prefix="LOOM_PAYLOADS_", frozen=True, defer_build=True)

    url: PayloadsAddress = SecretStr("file:.loom/payloads")


class LogSettings(EnvironmentSettings):
    """Says how a process logs."""

    model_config = SettingsConfigDict(env_prefix="LOOM_LOG_", frozen=True, defer_build=True)

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class WorkerSettings(EnvironmentSettings):
    """Says how a stage works."""

    model_config = SettingsConfigDict(env_prefix="LOOM_WORKER_", frozen=True, defer_build=True)

    prefetch: int = Field(8, ge=1, description="How many batches a replica has in flight at once.")
    drain_seconds: float = Field(
        30.0, ge=0, description="How long a process that is asked to stop may finish what is in flight."
    )
    leaked_threads: int = Field(
        8, ge=1, description="How many threads may hang in user code before the process is replaced."
    )


class TransformSettings(EnvironmentSettings):
    """Says which batches a transformer takes."""

    model_config = SettingsConfigDict(env_prefix="LOOM_TRANSFORM_", frozen=True, defer_build=True)

    steps: Annotated[tuple[StepName, ...], NoDecode, BeforeValidator(_named)] = Field(
        (),
        description="Steps with `queue: own`, separated by commas: the process takes the batches from their queues and "
        "no others.",
    )


class BreakerSettings(EnvironmentSettings):
    """Says when a model endpoint, a source or a destination is not called for a while."""

    model_config = SettingsConfigDict(env_prefix="LOOM_BREAKER_", frozen=True, defer_build=True)

    failures: int = Field(5, ge=1, description="How many calls in a row fail until an upstream is called no more.")
    open_seconds: float = Field(60.0, gt=0, description="How long it is then left alone.")
    successes: int = Field(3, ge=1, description="How many probes in a row succeed until it is called as before.")
    seek_seconds: float | None = Field(
        6.0,
        gt=0,
        description="How long an embedded run tries what was never there before it fails. Null means no limit.",
    )


class DatabaseSettings(EnvironmentSettings):
    """Time limits of the databases of state, journal and payloads, in seconds."""

    model_config = SettingsConfigDict(env_prefix="LOOM_DATABASE_", frozen=True, defer_build=True)

    connect_timeout: float = Field(3.0, gt=0, description="How long a connection to a database may take.")
    query_timeout: float = Field(10.0, gt=0, description="How long one statement may take.")
    complex_timeout: float = Field(
        30.0, gt=0, description="How long a statement of the coordinator's over a whole run may take."
    )
    transaction_timeout: float = Field(
        60.0, gt=0, description="How long a transaction may be idle before the server ends it."
    )

    def on_the_server(self, statement_timeout: float) -> dict[str, str]:
        """Return the limits as settings of a Postgres session, so that no statement outlives its client."""
        return {
            "statement_timeout": str(int(statement_timeout * 1000)),
            "idle_in_transaction_session_timeout": str(int(self.transaction_timeout * 1000)),
        }


class CacheSettings(EnvironmentSettings):
    """Time limits of Redis, in seconds."""

    model_config = SettingsConfigDict(env_prefix="LOOM_CACHE_", frozen=True, defer_build=True)

    connect_timeout: float = Field(1.0, gt=0, description="How long a connection to Redis may take.")
    operation_timeout: float = Field(
        2.0, gt=0, description="How long one operation of Redis may take. After that, work goes on without it."
    )


class RecordsSettings(EnvironmentSettings):
    """Limits the records that are given to runs, from Python or over HTTP."""

    model_config = SettingsConfigDict(env_prefix="LOOM_RECORDS_", frozen=True, defer_build=True)

    max_mb: int = Field(
        4096, ge=1, description="How many MiB the records given to one run may have, compressed as they are stored."
    )

    @property
    def max_bytes(self) -> int:
        """Return the limit in bytes."""
        return self.max_mb * 1024 * 1024


class HealthSettings(EnvironmentSettings):
    """Says where a service answers `/healthz`, `/readyz` and `/metrics` over HTTP."""

    model_config = SettingsConfigDict(env_prefix="LOOM_HEALTH_", frozen=True, defer_build=True)

    host: str = Field(
        "127.0.0.1", min_length=1, description="Elsewhere than loopback only where a network policy guards it."
    )
    port: int | None = Field(None, ge=1, le=65535, description="None: not at all, as in the embedded engine.")
    stall_seconds: float = Field(
        10.0, gt=0, description="How long the event loop may be stuck before the process counts as not alive."
    )


_KEY_REFERENCE = re.compile(r"\$\{[^}]+\}")


def _references(given: object) -> object:
    return tuple(given.replace(",", " ").split()) if isinstance(given, str) else given


def _all_references(given: tuple[str, ...]) -> tuple[str, ...]:
    if not given or not all(_KEY_REFERENCE.fullmatch(each) for each in given):
        raise PydanticCustomError("references", "references of keys, separated by spaces: ${NAME} or ${provider:name}")
    return given


class EncryptionSettings(EnvironmentSettings):
    """Says where the keys are kept that sensitive fields of records are encrypted with."""

    model_config = SettingsConfigDict(env_prefix="LOOM_ENCRYPTION_", frozen=True, defer_build=True)

    keys: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_references), AfterValidator(_all_references)] = Field(
        ("${LOOM_ENCRYPTION_KEY}",),
        description="References of keys, separated by spaces. The first encrypts, all of them decrypt.",
    )


class TracingSettings(EnvironmentSettings):
    """Says where traces are sent, by OTLP over HTTP."""

    model_config = SettingsConfigDict(env_prefix="LOOM_TRACING_", frozen=True, defer_build=True)

    endpoint: str | None = Field(
        None, description="The collector's address, such as `http://collector:4318`. None: nothing is traced."
    )
    sample: float = Field(
        1.0, ge=0, le=1, description="The share of the runs that are traced, the same in all services."
    )


class OpenLineageSettings(EnvironmentSettings):
    """Says where the coordinator tells of runs, as events of OpenLineage. Without `url` and `file` it tells nobody."""

    model_config = SettingsConfigDict(env_prefix="LOOM_OPENLINEAGE_", frozen=True, defer_build=True)

    url: SecretStr | None = Field(None, description="The address of a collector, such as `http://marquez:5000`.")
    api_key: SecretStr | None = Field(None, description="A bearer token for it, or a credential reference.")
    file: Path | None = Field(None, description="A file that gets each event as a line of JSON.")
    namespace: str = Field("loom", min_length=1, description="The namespace of the pipelines, which are its jobs.")

    @property
    def on(self) -> bool:
        """Tell whether anybody is told."""
        return bool(self.url and self.url.get_secret_value()) or self.file not in (None, Path())


class Settings(EnvironmentSettings):
    """Holds all settings of a service."""

    model_config = SettingsConfigDict(env_prefix="LOOM_", frozen=True, defer_build=True)

    project_dir: Path = Field(Path(), description="Relative sources, destinations and functions start here.")
    allowed_paths: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Folders and files outside of the project that pipelines may reach, separated by `:`."
    )
    credential_prefix: str = Field("", description="`${KEY}` is looked up as `<prefix>KEY` first, then as `KEY`.")
    every_hop: bool = Field(
        False, description="Let batches also visit the stages that have nothing to do. It is part of the plan of a run."
    )
    bus: BusSettings = Field(default_factory=BusSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    payloads: PayloadSettings = Field(default_factory=PayloadSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    transform: TransformSettings = Field(default_factory=TransformSettings)
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    records: RecordsSettings = Field(default_factory=RecordsSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    encryption: EncryptionSettings = Field(default_factory=EncryptionSettings)
    openlineage: OpenLineageSettings = Field(default_factory=OpenLineageSettings)

    @property
    def allowed(self) -> tuple[Path, ...]:
        """Return the folders and files that pipelines may reach, of which the first is the project's."""
        return self.project_dir.resolve(), *self.allowed_paths

    @property
    def embedded(self) -> bool:
        """Tell whether all services share this process, which nobody restarts when it ends."""
        return self.bus.url.get_secret_value().startswith("memory:")

    @property
    def budgets(self) -> str:
        """Return the database of the run budgets, which all replicas must share.

        It is the journal's, or, where that is Redis, which may lose data, the payload store's, or else that of the run
        state."""
        urls = [each.url.get_secret_value() for each in (self.journal, self.payloads, self.state)]
        return next((url for url in urls if url.startswith(_SQL)), urls[-1])

    @property
    def databases(self) -> list[str]:
        """Return the databases with tables of Loom, each once: state, journal and payloads may share one."""
        journal = self.journal.url.get_secret_value()
        if journal.startswith("sqlite:///"):  # a relative path starts at the project folder
            journal = f"sqlite:///{self.project_dir / journal.removeprefix('sqlite:///')}"
        urls = [self.state.url.get_secret_value(), self.payloads.url.get_secret_value(), journal]
        return list(dict.fromkeys(url for url in urls if url.startswith(_SQL)))
