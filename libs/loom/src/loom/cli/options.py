"""The options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.forms import Format

if TYPE_CHECKING:
    from loom.config import LoomConfig

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


def configuration(path: Path | None, *, cluster: bool = False) -> LoomConfig:
    """The project's configuration, as the options say."""
    from loom.config import LoomConfig

    config = LoomConfig.load(path)
    return config.for_cluster() if cluster else config
