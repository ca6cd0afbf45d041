"""Defines `loom.yaml`, which says how this project runs its pipelines. Everything in it has a default; secrets are
`${REFERENCES}`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from loom_common.allowed_paths import VARIABLE, listed
from loom_common.config.credentials import Credentials
from loom_common.config.local_cluster import local_cluster
from loom_common.config.settings import (
    BusSettings,
    EncryptionSettings,
    JournalSettings,
    LogSettings,
    PayloadSettings,
    Settings,
    StateSettings,
)
from loom_common.domain.access import AccessConfig
from loom_common.domain.definition.quality_gate import GateConfig
from loom_common.domain.definition.reader import validated
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig, provider_mistakes
from loom_common.domain.section import Location, Mistake, SecretRef, Section, mistake, said
from loom_common.errors import ConfigurationError

FILE_NAME = "loom.yaml"


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


class EncryptionConfig(Section):
    """Says where the keys of `sensitive` fields are kept. The short form of one key is `key`."""

    key: SecretRef | None = Field(
        None,
        description="A reference: `${LOOM_ENCRYPTION_KEY}`, `${vault:loom#key}`. Default: `${LOOM_ENCRYPTION_KEY}`.",
    )
    keys: list[SecretRef] = Field(
        default_factory=list,
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


class LoomConfig(Section):
    """Holds a project's configuration."""

    mode: Literal["embedded", "distributed"] = Field(
        "embedded", description="`embedded` runs everything in this process; `distributed` asks a cluster over the bus."
    )
    storage: StorageConfig = Field(default_factory=StorageConfig)
    bus: BusConfig = Field(default_factory=BusConfig)
    cache: CacheDefaults = Field(default_factory=CacheDefaults)
    credentials: CredentialsConfig = Field(default_factory=CredentialsConfig)
    defaults: PipelineDefaults = Field(default_factory=PipelineDefaults)
    providers: dict[str, ProviderConfig] = Field(
        default_factory=dict,
        description="Connections to model providers, by name, for every pipeline; its own `providers` come first.",
    )
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict,
        description="USD per million tokens by model, for every pipeline: `my-model: {input: 0.2, output: 0.8}`. A "
        "pipeline's own `prices` come first, the bundled price list last.",
    )
    pipelines: list[str] = Field(
        default_factory=lambda: ["pipelines", "examples", "."],
        description="Folders, and the folders in them, where `loom run NAME` and `loom list` look for pipelines.",
    )
    allowed_paths: list[str] = Field(
        default_factory=list,
        description="Folders and files outside of the project that its pipelines may read and write.",
    )
    log: LogConfig = Field(default_factory=LogConfig)
    access: AccessConfig = Field(default_factory=AccessConfig)
    encryption: EncryptionConfig = Field(default_factory=EncryptionConfig)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand providers that can be reached."""
        return provider_mistakes(written)

    _file: Path | None = PrivateAttr(None)
    _project: Path = PrivateAttr(default_factory=Path.cwd)
    _allowed_besides: tuple[Path, ...] = PrivateAttr(())
    _aside: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None = None, pipeline: str | Path | None = None) -> LoomConfig:
        """Read `path`, or the `loom.yaml` of the working directory or the nearest folder above. Where there is none,
        and `pipeline` is a file, read the one nearest to that. Without one, take the defaults.

        Raises `InvalidDefinition` with every mistake in the file."""
        file = path or nearest(Path.cwd())
        if file is None and pipeline is not None and os.path.isfile(pipeline):  # noqa: PTH113 - also for what no file can be named
            file = nearest(Path(pipeline).resolve().parent)
        if file is None:
            return cls()
        from loom.project import yaml_positions  # many projects have no such file

        shown = os.path.relpath(file)
        config = cls.parse(yaml_positions.read_text(file, shown), shown)
        config._file = file.resolve()
        config._project = file.resolve().parent
        return config

    @classmethod
    def parse(cls, text: str, file: str) -> LoomConfig:
        """Parse the configuration that YAML text says. Raises `InvalidDefinition` with every mistake, placed in
        `file`."""
        from loom.project import yaml_positions

        document = yaml_positions.parse(text, file, may_be_empty=True)
        return validated(cls, document.data, document.locate)

    @property
    def file(self) -> Path | None:
        """Return the `loom.yaml` this came from; None where there is none."""
        return self._file

    @property
    def project(self) -> Path:
        """Return the folder of `loom.yaml`, else the working directory. State lies in `.loom` below it."""
        return self._project

    @property
    def distributed(self) -> bool:
        """Tell whether runs are carried out by a cluster."""
        return self.mode == "distributed"

    def for_cluster(self) -> LoomConfig:
        """Return the same project, with its runs carried out by a cluster: what `--cluster` means."""
        return self.model_copy(update={"mode": "distributed"})

    def allowing(self, paths: Iterable[Path]) -> LoomConfig:
        """Return the same project, whose pipelines may reach these folders and files besides: what `--allow-path`
        means."""
        config = self.model_copy()
        config._allowed_besides = (*self._allowed_besides, *(path.resolve() for path in paths))
        return config

    def aside(self, folder: Path) -> LoomConfig:
        """Return the same project, whose runs are carried out in this process and keep their state, their journal and
        their payloads in `folder`: what a test of a pipeline leaves there is no run of the project."""
        config = self.model_copy(update={"mode": "embedded"})
        config._aside = {
            "LOOM_BUS_URL": "memory://",
            "LOOM_STATE_URL": f"sqlite:///{folder}/state.db",
            "LOOM_JOURNAL_URL": "memory://",
            "LOOM_PAYLOADS_URL": f"file:{folder}/payloads",
        }
        return config

    @property
    def allowed(self) -> tuple[Path, ...]:
        """Return the folders and files that pipelines may reach, of which the first is the project's."""
        said = os.environ.get(VARIABLE)
        own = [self.project / Path(each).expanduser() for each in self.allowed_paths] if said is None else listed(said)
        return (self.project, *own, *self._allowed_besides)

    def base_of(self, folder: Path) -> str:
        """Return a pipeline's folder as runs carry it: below the project folder, whole where it lies elsewhere."""
        project, folder = self.project.resolve(), folder.resolve()
        if folder == project:
            return ""
        return str(folder.relative_to(project) if folder.is_relative_to(project) else folder)

    def settings(self) -> Settings:
        """Return what the services are given: `LOOM_*` of the environment first, then this file.

        Raises `ConfigurationError` where one cannot be used, or where the address of a cluster is unknown."""
        given = {**self._written(), **self._cluster_env(), **os.environ, **self._aside}
        given[VARIABLE] = os.pathsep.join(map(str, self.allowed[1:]))
        if self.distributed and given["LOOM_BUS_URL"].startswith("memory:"):
            raise ConfigurationError(
                "No cluster is known to run this on. Start one here with `make up`, or name its broker: "
                "`bus: {url: amqp://...}` in loom.yaml, or LOOM_BUS_URL in the environment."
            )
        return _settings(frozenset(each for each in given.items() if each[0].upper().startswith("LOOM_")))

    def _written(self) -> dict[str, str]:
        """Return this file, as the environment variables that say the same."""
        folder = self.project / ".loom"
        state = f"sqlite:///{self.project / self.storage.path}"
        return {
            "LOOM_PROJECT_DIR": str(self.project),
            "LOOM_CREDENTIAL_PREFIX": self.credentials.prefix,
            "LOOM_BUS_URL": self._expanded(self.bus.url) if self.distributed and self.bus.url else "memory://",
            "LOOM_STATE_URL": self._expanded(self.storage.url) if self.storage.url else state,
            "LOOM_JOURNAL_URL": self._expanded(self.cache.url) if self.cache.url else f"sqlite:///{folder}/journal.db",
            "LOOM_PAYLOADS_URL": self._expanded(self.storage.url) if self.storage.url else f"file:{folder}/payloads",
            "LOOM_LOG_LEVEL": self.log.level,
            **({"LOOM_ENCRYPTION_KEYS": " ".join(keys)} if (keys := self.encryption.references) else {}),
        }

    def _cluster_env(self) -> dict[str, str]:
        """Return the addresses that `make up` left, where this file names no broker of its own."""
        if not self.distributed or self.bus.url or "LOOM_BUS_URL" in os.environ:
            return {}
        return local_cluster(self.project)

    @property
    def secrets(self) -> Credentials:
        """Return what resolves the credential references of this project here."""
        return Credentials.of_project(self.project, self.credentials.prefix, self.allowed)

    def _expanded(self, url: str) -> str:
        return self.secrets.expand(url, in_url=True)

    def applied_to(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Return the definition with this project's defaults where it is silent."""
        filled = dict(definition)
        if self.defaults.batch_size is not None:
            _fill(filled, "extract", "batch_size", self.defaults.batch_size)
        if self.defaults.quality_gate is not None:
            gate = self.defaults.quality_gate.model_dump(exclude_none=True)
            _fill(filled, "evaluate", "quality_gate", gate)
        if self.providers:
            own = filled.get("providers") or {}
            if isinstance(own, Mapping):
                mine = {name: each.model_dump(exclude_unset=True) for name, each in self.providers.items()}
                filled["providers"] = {**mine, **own}
        if self.prices:
            said = filled.get("prices") or {}
            if isinstance(said, Mapping):
                filled["prices"] = {name: each.model_dump() for name, each in self.prices.items()} | dict(said)
        transform = filled.get("transform")
        if self.cache.ttl_days is not None and isinstance(transform, Mapping):
            ttl = {"ttl": f"{self.cache.ttl_days:g}d"}
            if transform.get("type") == "ai":
                _fill(filled, "transform", "cache", ttl)
            elif isinstance(steps := transform.get("steps"), list):
                asking = [isinstance(each, Mapping) and each.get("type") == "ai" for each in steps]
                made = [{"cache": ttl, **each} if asks else each for asks, each in zip(asking, steps, strict=True)]
                filled["transform"] = {**transform, "steps": made}
        return filled


@lru_cache(maxsize=4)
def _settings(variables: frozenset[tuple[str, str]]) -> Settings:
    """Return the settings that these variables make, and no others do. A command asks for them often."""
    given = dict(variables)
    keys = given.get("LOOM_ENCRYPTION_KEYS")
    return Settings(
        project_dir=Path(given["LOOM_PROJECT_DIR"]),
        allowed_paths=listed(given[VARIABLE]),
        credential_prefix=given["LOOM_CREDENTIAL_PREFIX"],
        bus=BusSettings.model_validate({"url": given["LOOM_BUS_URL"]}),
        state=StateSettings.model_validate({"url": given["LOOM_STATE_URL"]}),
        journal=JournalSettings.model_validate({"url": given["LOOM_JOURNAL_URL"]}),
        payloads=PayloadSettings.model_validate({"url": given["LOOM_PAYLOADS_URL"]}),
        log=LogSettings.model_validate({"level": given["LOOM_LOG_LEVEL"]}),
        encryption=EncryptionSettings.model_validate({} if keys is None else {"keys": keys}),
    )


def _url_fits(written: Mapping[str, Any], kind: str, file: str) -> Iterable[Mistake]:
    """Check that `kind` is a server, which needs an address, unless it is the `file`."""
    url = said(written, "url")
    if kind != file and url is None:
        yield mistake((), "missing_for_type", f"`url`, which {kind} needs", written)
    if kind == file and url is not None:
        yield mistake(("url",), "strange_for_type", f"no `url` with {kind}", url)


def _fill(definition: dict[str, Any], section: str, key: str, value: Any) -> None:
    written = definition.get(section)
    if isinstance(written, Mapping) and key not in written:
        definition[section] = {**written, key: value}


def nearest(folder: Path) -> Path | None:
    """Return the `loom.yaml` of a folder, or of the nearest one above it that has one."""
    return next((file for here in (folder, *folder.parents) if (file := here / FILE_NAME).is_file()), None)
