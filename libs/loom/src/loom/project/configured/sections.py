"""Defines the sections of `loom.yaml`."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.quality_gate import GateConfig
from loom_common.domain.section import Location, Mistake, SecretRef, Section, WebLocation, mistake, said


class StorageConfig(Section):
    """Says where run state and quarantined records are kept."""

    type: Literal["sqlite", "postgres"] = Field("sqlite", description="`sqlite` is a file; `postgres` needs `url`.")
    path: str = Field(".loom/loom.db", description="`sqlite`: the file, below the project folder.")
    url: Location | None = Field(None, description="`postgres`: `postgresql://${USER}:${PASSWORD}@host/database`.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand an address for the server, and none for the file."""
        return _url_fits(written, said(written, "type") or "sqlite", "sqlite")


class BusConfig(Section):
    """Says how to reach a cluster."""

    url: Location | None = Field(None, description="`amqp://${USER}:${PASSWORD}@host/vhost`, for `mode: distributed`.")


class CacheDefaults(Section):
    """Says where results of model calls are kept, and whether later runs reuse them."""

    enabled: bool = Field(True, description="False is `--no-cache` for every run.")
    backend: Literal["sqlite", "redis", "postgres"] = Field("sqlite", description="`redis`, `postgres` need `url`.")
    url: Location | None = Field(None, description="`redis://...` or `postgresql://...`.")
    ttl_days: float | None = Field(
        None,
        gt=0,
        le=36_500,
        description="How old a reused result may be, for pipelines that do not say. Default: any age.",
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand an address for a server, and none for the file."""
        return _url_fits(written, said(written, "backend") or "sqlite", "sqlite")


class CredentialsConfig(Section):
    """Says where `${NAME}` is looked up."""

    provider: Literal["env"] = Field("env", description="Environment variables, then the file `.env`.")
    prefix: str = Field("", description="With `prefix: LOOM_`, `${KEY}` is `LOOM_KEY` first, then `KEY`.")


class PipelineDefaults(Section):
    """Holds what a pipeline gets where its own file is silent."""

    batch_size: int | None = Field(None, ge=1, le=10_000, description="For `extract.batch_size`.")
    quality_gate: GateConfig | None = Field(None, description="For `evaluate.quality_gate`.")


class LogConfig(Section):
    """Says how much the command line logs on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("error", description="`--verbose` makes it `info`.")


class OpenLineageConfig(Section):
    """Says who is told of runs, as events of OpenLineage. Without `url` and `file` it is nobody."""

    url: WebLocation | None = Field(None, description="The address of a collector: `http://localhost:5000`.")
    api_key: SecretRef | None = Field(None, description="The reference of a bearer token for it.")
    file: str | None = Field(None, min_length=1, description="A file that gets each event as a line of JSON.")
    namespace: str = Field("loom", min_length=1, description="The namespace of the pipelines, which are its jobs.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand somebody who has the token's use."""
        if said(written, "api_key") is not None and said(written, "url") is None:
            yield mistake(("api_key",), "strange_for_type", "no `api_key` without `url`", said(written, "api_key"))

    @property
    def variables(self) -> dict[str, str]:
        """Return the same as environment variables."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return {f"LOOM_OPENLINEAGE_{name.upper()}": value for name, value in said.items() if value is not None}


class EncryptionConfig(Section):
    """Says where the keys of `sensitive` fields are kept. The short form of one key is `key`."""

    key: SecretRef | None = Field(
        None,
        description="A reference: `${LOOM_ENCRYPTION_KEY}`, `${vault:loom#key}`. Default: `${LOOM_ENCRYPTION_KEY}`.",
    )
    keys: list[SecretRef] = Field(
        [],
        description="Several, while they are changed. The first encrypts, all of them decrypt: the newest comes first.",
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand one of the two forms."""
        if said(written, "key") is not None and said(written, "keys"):
            yield mistake(("keys",), "strange_for_type", "`key` or `keys`, and not both", said(written, "keys"))

    @property
    def references(self) -> list[str]:
        """Return the references of the keys, the newest first; empty where nothing is said."""
        return list(self.keys) if self.key is None else [self.key]


def _url_fits(written: Mapping[str, Any], kind: str, file: str) -> Iterable[Mistake]:
    """Check that `kind` is a server, which needs an address, unless it is the `file`."""
    url = said(written, "url")
    if kind != file and url is None:
        yield mistake((), "missing_for_type", f"`url`, which {kind} needs", written)
    if kind == file and url is not None:
        yield mistake(("url",), "strange_for_type", f"no `url` with {kind}", url)
