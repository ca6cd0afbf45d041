"""Defines `loom.yaml`, which says how this project runs its pipelines. Everything in it has a default; secrets are
`${REFERENCES}`."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr

from loom.project.configured.defaults import with_defaults
from loom.project.configured.engine_names import EMBEDDED, OF_MODE, RABBITMQ, engine_mistakes
from loom.project.configured.sections import (
    BusConfig,
    CacheDefaults,
    CredentialsConfig,
    EncryptionConfig,
    LogConfig,
    OpenLineageConfig,
    PipelineDefaults,
    StorageConfig,
)
from loom.project.environment import given_by, kept_in, placed, state_file
from loom.project.targets.rendered import KeyPath, Rendered
from loom.project.targets.target import Target, no_target, target_mistakes
from loom_common.allowed_paths import VARIABLE, listed
from loom_common.config.credentials import Credentials
from loom_common.domain.access import AccessConfig
from loom_common.domain.definition.reader import validated
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig, provider_mistakes
from loom_common.domain.section import Mistake, Section
from loom_common.domain.values.ids import state_name
from loom_common.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from loom.project.yaml_positions import Document
    from loom_common.config.settings import Settings

FILE_NAME = "loom.yaml"
TARGET_VARIABLE = "LOOM_TARGET"
"""Names the target that pipelines run for, where no option does."""


class LoomConfig(Section):
    """Holds a project's configuration."""

    mode: Literal["embedded", "distributed"] = Field(
        "embedded", description="`embedded` runs everything in this process; `distributed` asks a cluster over the bus."
    )
    engine: str | None = Field(
        None,
        min_length=1,
        description="What carries out runs: `embedded` (this process), `rabbitmq` (a cluster), or the name of an "
        "engine that a package offers, such as `prefect`. Default: what `mode` says.",
    )
    # What nobody writes is not validated: pydantic would build the validator of each section for it.
    storage: StorageConfig = Field(default_factory=StorageConfig.model_construct)
    bus: BusConfig = Field(default_factory=BusConfig.model_construct)
    cache: CacheDefaults = Field(default_factory=CacheDefaults.model_construct)
    credentials: CredentialsConfig = Field(default_factory=CredentialsConfig.model_construct)
    defaults: PipelineDefaults = Field(default_factory=PipelineDefaults.model_construct)
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
        [],
        description="Folders and files outside of the project that its pipelines may read and write.",
    )
    log: LogConfig = Field(default_factory=LogConfig.model_construct)
    access: AccessConfig = Field(default_factory=AccessConfig.model_construct)
    encryption: EncryptionConfig = Field(default_factory=EncryptionConfig.model_construct)
    openlineage: OpenLineageConfig = Field(default_factory=OpenLineageConfig.model_construct)
    default_target: str | None = Field(
        None, description="The target where neither `--target` nor LOOM_TARGET names one. Default: none of them."
    )
    targets: dict[str, Target] = Field(
        default_factory=dict,
        description="What differs where pipelines run for `dev` or `prod`: destinations, models, budgets.",
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand providers that can be reached, a default target that there is, and one word on the engine."""
        yield from engine_mistakes(written)
        yield from provider_mistakes(written)
        yield from target_mistakes(written)

    _file: Path | None = PrivateAttr(None)
    _project: Path = PrivateAttr(default_factory=Path.cwd)
    _allowed_besides: tuple[Path, ...] = PrivateAttr(())
    _aside: dict[str, str] = PrivateAttr(default_factory=dict)
    _document: Any = PrivateAttr(None)
    _target: str | None = PrivateAttr(None)

    @classmethod
    def load(
        cls, path: Path | None = None, pipeline: str | Path | None = None, target: str | None = None
    ) -> "LoomConfig":
        """Read `path`, or the `loom.yaml` of the working directory or the nearest folder above. Where there is none,
        and `pipeline` is a file, read the one nearest to that. Without one, take the defaults. Its pipelines run for
        `target`, else for that of LOOM_TARGET, else for its default.

        Raises `InvalidDefinition` with every mistake in the file."""
        file = path or nearest(Path.cwd())
        if file is None and pipeline is not None and os.path.isfile(pipeline):  # noqa: PTH113 - also for what no file can be named
            file = nearest(Path(pipeline).resolve().parent)
        if file is None:
            return cls.model_construct()._chosen(target)
        from loom.project import yaml_positions  # many projects have no such file

        shown = os.path.relpath(file)
        config = cls.parse(yaml_positions.read_text(file, shown), shown)
        config._file = file.resolve()
        config._project = file.resolve().parent
        return config._chosen(target)

    def _chosen(self, target: str | None) -> "LoomConfig":
        """Return the project for the target that is asked for, that the environment names, or that is its default."""
        if target is not None:
            return self.for_target(target)
        if name := os.environ.get(TARGET_VARIABLE):
            return self.for_target(name, TARGET_VARIABLE)
        return self.for_target(self.default_target) if self.default_target is not None else self

    @classmethod
    def parse(cls, text: str, file: str) -> "LoomConfig":
        """Parse the configuration that YAML text says. Raises `InvalidDefinition` with every mistake, placed in
        `file`."""
        from loom.project import yaml_positions

        document = yaml_positions.parse(text, file, may_be_empty=True)
        config = validated(cls, document.data, document.locate)
        config._document = document
        return config

    def problem(self, path: KeyPath, found: str, expected: str, suggestion: str | None = None) -> Problem:
        """Return a mistake at a key of this file."""
        if self._document is None:
            return Problem(path, found, expected, suggestion)
        problem: Problem = self._document.problem(path, found, expected, suggestion)
        return problem

    def is_its(self, file: str) -> bool:
        """Tell whether a mistake with that file stands in this one."""
        return self._document is not None and self._document.file == file

    @property
    def file(self) -> Path | None:
        """Return the `loom.yaml` this came from; None where there is none."""
        return self._file

    @property
    def project(self) -> Path:
        """Return the folder of `loom.yaml`, else the working directory. State lies in `.loom` below it."""
        return self._project

    @property
    def engine_name(self) -> str:
        """Return the name of the engine that carries out runs."""
        return self.engine or OF_MODE[self.mode]

    @property
    def distributed(self) -> bool:
        """Tell whether runs are carried out by a cluster."""
        return self.engine_name == RABBITMQ

    def for_cluster(self) -> "LoomConfig":
        """Return the same project, with its runs carried out by a cluster: what `--cluster` means."""
        return self._on(RABBITMQ)

    def in_this_process(self) -> "LoomConfig":
        """Return the same project, with its runs carried out in this process where a cluster would carry them out."""
        return self._on(EMBEDDED) if self.distributed else self

    def _on(self, engine: str) -> "LoomConfig":
        return self.model_copy(update={"engine": engine})

    def allowing(self, paths: Iterable[Path]) -> "LoomConfig":
        """Return the same project, whose pipelines may reach these folders and files besides: what `--allow-path`
        means."""
        config = self.model_copy()
        config._allowed_besides = (*self._allowed_besides, *(path.resolve() for path in paths))
        return config

    def aside(self, folder: Path) -> "LoomConfig":
        """Return the same project, whose runs are carried out in this process and keep their state, their journal and
        their payloads in `folder`: what a test of a pipeline leaves there is no run of the project."""
        config = self._on(EMBEDDED)
        config._aside = kept_in(folder)
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

    def settings(self) -> "Settings":
        """Return what the services are given: `LOOM_*` of the environment first, then this file.

        Raises `ConfigurationError` where one cannot be used, or where the address of a cluster is unknown."""
        # Commands that only read run state need none, nor the library of settings.
        from loom.project.configured.variables import settings_of
        from loom_common.config.environment import UnusableSettings

        given = given_by(self, self._aside)
        given[VARIABLE] = os.pathsep.join(map(str, self.allowed[1:]))
        if self.distributed and given["LOOM_BUS_URL"].startswith("memory:"):
            raise ConfigurationError(
                "No cluster is known to run this on. Start one here with `make up`, or name its broker: "
                "`bus: {url: amqp://...}` in loom.yaml, or LOOM_BUS_URL in the environment."
            )
        try:
            return settings_of(frozenset(each for each in given.items() if each[0].upper().startswith("LOOM_")))
        except UnusableSettings as error:
            raise placed(error, self) from None

    @property
    def state_url(self) -> str:
        """Return the address of the run state, with its credentials: that of `settings`, which are not made where it is
        the project's own file. Raises `ConfigurationError` as they do."""
        if not self.distributed and given_by(self, self._aside)["LOOM_STATE_URL"] == (own := state_file(self)):
            return own
        return self.settings().state.url.get_secret_value()

    @property
    def secrets(self) -> Credentials:
        """Return what resolves the credential references of this project here."""
        return Credentials.of_project(self.project, self.credentials.prefix, self.allowed)

    def applied_to(self, document: "Document") -> "Document":
        """Return the document of a pipeline file with what this project says of it: its target, and its defaults where
        the file is silent."""
        made = self._rendered(document.data)
        filled, origins = with_defaults(
            made.definition, self.defaults, self.providers, self.prices, self.cache.ttl_days
        )
        if self._document is None:
            return replace(document, data=filled)
        problems = tuple(self.problem(p.path, p.found, p.expected, p.suggestion) for p in made.problems)
        places = made.origins | origins
        return replace(document, data=filled, elsewhere=places, other=self._document, problems=problems)

    def rendered(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Return a definition as the target makes it, and as it is without one."""
        return self._rendered(definition).definition

    def _rendered(self, definition: Mapping[str, Any]) -> Rendered:
        if self._target is None:
            return Rendered(dict(definition))
        from loom.project.targets.rendering import rendered  # it knows the sections of a pipeline; few commands do

        return rendered(definition, self._target, self.targets[self._target])

    @property
    def target(self) -> str | None:
        """Return the name of the target that pipelines run for; None where they run as they are written."""
        return self._target

    def state_name(self, pipeline: str) -> str:
        """Return the name under which is kept what a pipeline learns from run to run, for the target; a name that says
        its target already, `reviews@prod`, as it is."""
        return pipeline if "@" in pipeline else state_name(pipeline, self._target)

    def for_target(self, name: str, said_by: str = "--target") -> "LoomConfig":
        """Return the same project, whose pipelines run for that target. Raises `ConfigurationError` where there is
        none of this name."""
        if name not in self.targets:
            file = FILE_NAME if self._file is None else os.path.relpath(self._file)
            raise no_target(name, said_by, self.targets, file)
        config = self.model_copy()
        config._target = name
        return config


def nearest(folder: Path) -> Path | None:
    """Return the `loom.yaml` of a folder, or of the nearest one above it that has one."""
    return next((file for here in (folder, *folder.parents) if (file := here / FILE_NAME).is_file()), None)
