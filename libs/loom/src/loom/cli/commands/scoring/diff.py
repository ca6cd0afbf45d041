"""Implements `loom diff`, which compares two runs on the records that both have."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format


@grouped
def diff(
    before: Annotated[str, typer.Argument(metavar="RUN", help="The run that is compared with.")],
    after: Annotated[str, typer.Argument(metavar="RUN", help="The other run; `latest` is the newest.")],
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="Show so many records that differ.")
    ] = 20,
    form: Form = Format.TABLE,
    *,
    common: WithFiles,
) -> None:
    """Compare two runs on the records that both have: outputs, verdicts, scores, cost and latency.

    Whether verdicts differ is told by McNemar's test, and whether scores do by Wilcoxon's signed-rank test. No model is
    asked for anything."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.scores import compared
    from loom.comparing.diff import diff as compare

    config = common.configuration()
    follow.log_on_stderr(config, verbose=common.verbose)
    before, after = (follow.wait_for(state.named_run(config, each)) for each in (before, after))
    found = follow.wait_for(compare(config, before, after, limit=limit))
    if form is Format.JSON:
        terminal.print_json(found.as_json())
    else:
        compared.print_diff(found)
