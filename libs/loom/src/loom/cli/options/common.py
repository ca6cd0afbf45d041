"""Defines the options that several commands share, each in one place."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Common:
    """Holds the options that every command that looks at runs has."""

    cluster: Cluster = False
    config: ConfigPath = None
    verbose: Verbose = False

    def configuration(self) -> LoomConfig:
        """Return the project's configuration, as the options say."""
        config = configuration(self.config)
        return config.for_cluster() if self.cluster else config

    @property
    def flags(self) -> str:
        """Return the options that a command that is suggested needs besides."""
        return " --cluster" if self.cluster else ""


@dataclass(frozen=True, slots=True)
class WithFiles(Common):
    """Holds the options of a command that opens files which a pipeline names."""

    allow_path: AllowPath = None

    def configuration(self) -> LoomConfig:
        """Return the project's configuration, as the options say."""
        return Common.configuration(self).allowing(self.allow_path or ())


def configuration(path: Path | None) -> LoomConfig:
    """Return the project's configuration."""
    from loom.project.config import LoomConfig

    return LoomConfig.load(path)
