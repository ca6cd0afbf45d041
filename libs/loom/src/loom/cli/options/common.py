"""Defines the options that several commands share, each in one place."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.project.config import LoomConfig

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", metavar="PATH", help="The loom.yaml to use. Default: the nearest one upwards."),
]
Form = Annotated[
    Format, typer.Option("--format", help="`table` for people; `json` is one document on stdout, for programs.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log on stderr, and show tracebacks of errors.")]
Cluster = Annotated[
    bool, typer.Option("--cluster", help="Ask the cluster (`mode: distributed`) instead of running in this process.")
]

AllowPath = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-path",
        metavar="PATH",
        help="Let the pipeline reach this folder or file outside of the project. May be given again. The workers of a "
        "cluster have LOOM_ALLOWED_PATHS instead.",
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help="A target of loom.yaml, such as `dev` or `prod`. Default: that of LOOM_TARGET, else its `default_target`.",
    ),
]


@dataclass(frozen=True, slots=True)
class Common:
    """Holds the options that every command that looks at runs has."""

    cluster: Cluster = False
    config: ConfigPath = None
    verbose: Verbose = False

    def configuration(self, pipeline: str | None = None) -> LoomConfig:
        """Return the project's configuration, as the options say: where this folder is in no project, that of the
        project of a pipeline's file."""
        config = configuration(self.config, pipeline)
        return config.for_cluster() if self.cluster else config

    @property
    def flags(self) -> str:
        """Return the options that a command that is suggested needs besides."""
        return (" --cluster" if self.cluster else "") + _config_flag(self.config)

    def flags_for(self, config: LoomConfig) -> str:
        """Return the same, where the configuration may be that of another folder's project."""
        from loom.project.config import nearest

        elsewhere = self.config is None and config.file is not None and nearest(Path.cwd()) is None
        return self.flags + (_config_flag(config.file) if elsewhere else "")


@dataclass(frozen=True, slots=True)
class WithFiles(Common):
    """Holds the options of a command that opens files which a pipeline names."""

    allow_path: AllowPath = None

    def configuration(self, pipeline: str | None = None) -> LoomConfig:
        """Return the project's configuration, as the options say."""
        return Common.configuration(self, pipeline).allowing(self.allow_path or ())


@dataclass(frozen=True, slots=True)
class ForTarget(WithFiles):
    """Holds the options of a command that reads a pipeline's file to run it, or to tell what a run would be."""

    target: TargetName = None

    def configuration(self, pipeline: str | None = None) -> LoomConfig:
        """Return the project's configuration, as the options say."""
        config = configuration(self.config, pipeline, self.target)
        config = config.for_cluster() if self.cluster else config
        return config.allowing(self.allow_path or ())


def configuration(path: Path | None, pipeline: str | Path | None = None, target: str | None = None) -> LoomConfig:
    """Return the project's configuration: that of `path`, of this folder, or else of the pipeline's file. `target` is
    that of `--target`."""
    from loom.project.config import LoomConfig

    return LoomConfig.load(path, pipeline, target)


def _config_flag(path: Path | None) -> str:
    return "" if path is None else f" --config {shlex.quote(os.path.relpath(path))}"
