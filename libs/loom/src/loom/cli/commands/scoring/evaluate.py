"""Implements `loom evaluate`, which scores the outputs of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Form, ForTarget
from loom.cli.options.groups import grouped
from loom.cli.options.quarantine_filters import pairs_of
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.rescoring.request import Asked

_SHOWN = 20
"""The most changed records that the table shows."""


@grouped
def evaluate(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run whose outputs are scored.")],
    with_file: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="Judge by the `evaluate` section of this pipeline file."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="NAME=X",
            help="Another threshold of an evaluator, or of a weighted `gate`. May be given again.",
        ),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option("--evaluator", metavar="NAME", help="Judge by this evaluator alone. May be given again."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", min=0.0001, help="What new judgements may cost.")
    ] = None,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Load what passes now, and withdraw from the destination what no longer does."),
    ] = False,
    form: Form = Format.TABLE,
    *,
    common: ForTarget,
) -> None:
    """Score the outputs of a run again, and show whose verdict changes. Without --apply nothing is changed.

    The outputs are those that the run made: no model is asked for one again. Judgements that were paid for before are
    read from the journal. Without options the run's own evaluators judge, as their files and packages are now."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.cli.output.scores import rescored

    config = common.configuration()
    follow.log_on_stderr(config, verbose=common.verbose)
    asked = _asked(config, with_file, threshold or [], evaluator or [])
    shown = None if form is Format.JSON else _SHOWN
    if apply:
        from loom.rescoring.apply import apply as score
    else:
        from loom.rescoring.evaluate import evaluate as score
    made = follow.wait_for(score(config, run_id, asked, budget=budget, shown=shown))
    if form is Format.JSON:
        terminal.print_json(made.as_json())
    else:
        rescored.print_rescored(made, common.flags, _SHOWN)


def _asked(config: LoomConfig, file: Path | None, thresholds: list[str], evaluators: list[str]) -> Asked:
    from loom.project.definition_file import load
    from loom.rescoring.request import Asked

    loaded = None if file is None else load(file, config.applied_to, config.allowed)
    return Asked(loaded, _numbers(thresholds), evaluators)


def _numbers(pairs: list[str]) -> dict[str, float]:
    found = {}
    for name, value in pairs_of(pairs, "--threshold").items():
        try:
            found[name] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} is no number", param_hint="--threshold") from None
    return found
