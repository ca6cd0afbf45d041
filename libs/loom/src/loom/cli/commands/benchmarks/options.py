"""Defines the options of benchmarks, each in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import AllowPath, ConfigPath, Verbose, configuration

if TYPE_CHECKING:
    from loom.project.config import LoomConfig

File = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A pipeline file, or the name of one in the project.")]
Files = Annotated[
    list[str], typer.Argument(metavar="FILE|NAME...", help="Pipeline files, or names of pipelines in the project.")
]
Field = Annotated[
    str | None,
    typer.Option(
        "--field",
        metavar="FIELD",
        help="The output field that the labels say. Default: that of an exact_match evaluator, or the only one with a "
        "list of values.",
    ),
]
Confidence = Annotated[
    str | None,
    typer.Option(
        "--confidence",
        metavar="FIELD",
        help="The output field that says how sure it is, from 0 to 1. Default: `confidence`, where there is one.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """Holds the options that every benchmark has. Benchmarks run in this process, also in a project whose runs are
    carried out by a cluster."""

    labels: Annotated[
        str, typer.Option("--labels", metavar="FILE", help="The labels: a file or an address, as `extract.source` is.")
    ] = ""
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="COLUMN",
            help="The column that holds the labels. Default: what an exact_match evaluator compares with, else "
            "`label`, `expected` or `verdict`.",
        ),
    ] = None
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="COLUMN",
            help="The column of the labels that names the record. May be given again. Default: as `extract.key`.",
        ),
    ] = None
    labels_are: Annotated[
        str | None,
        typer.Option("--as", metavar="KIND", help="What labels are: `classes` or `numbers`. Default: as they look."),
    ] = None
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Measure the first N labelled records alone.")
    ] = None
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", metavar="N", min=1, help="Questions in flight at once, to each model."),
    ] = None
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=1e-6, max=1e12, help="What all candidates together may cost."),
    ] = None
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="Set a parameter. May be given again.")
    ] = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the resamples of the intervals.")] = 0
    export: Annotated[
        list[Path] | None,
        typer.Option(
            "--export",
            metavar="PATH",
            help="Write the result to a file: `.html` for people, `.json` with all figures and records, `.csv` with "
            "the records. May be given again.",
        ),
    ] = None
    config: ConfigPath = None
    allow_path: AllowPath = None
    verbose: Verbose = False

    def configuration(self) -> LoomConfig:
        """Return the project's configuration, with its runs in this process."""
        return configuration(self.config).allowing(self.allow_path or ()).in_this_process()

    def exports(self) -> list[Path]:
        """Return the files to write. Raises `typer.BadParameter` for one of another kind."""
        for path in self.export or ():
            if path.suffix not in (".html", ".json", ".csv"):
                raise typer.BadParameter(
                    f"{path}: the name ends in {path.suffix or 'nothing'}; expected .html, .json or .csv",
                    param_hint="--export",
                )
        return list(self.export or ())

    def request(self, *, labelled: bool = True) -> dict[str, Any]:
        """Return what the options say of a request; `labelled` says whether it needs labels. Raises
        `typer.BadParameter`."""
        from loom.benchmarks.data.target import Kind
        from loom.cli.commands.run import params_of

        if labelled and not self.labels:
            raise typer.BadParameter("it is missing: which file holds the labels?", param_hint="--labels")
        if self.labels_are not in (None, *Kind):
            raise typer.BadParameter(f"'{self.labels_are}' is none of {', '.join(Kind)}", param_hint="--as")
        return {
            "labels": self.labels,
            "column": self.label,
            "keys": tuple(self.key or ()),
            "kind": None if self.labels_are is None else Kind(self.labels_are),
            "sample": self.sample,
            "budget": self.budget,
            "params": params_of(self.param or []),
            "seed": self.seed,
        }
