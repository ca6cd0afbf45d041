"""Implements `loom show`, which shows the records of a run, and one of them whole."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format


@grouped
def show(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="The run's id: `run_` and 12 letters or digits; or `latest`.")
    ],
    record_id: Annotated[
        str | None, typer.Argument(metavar="[RECORD]", help="A record's id. Without it, records are listed.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1_000_000, help="List so many records.")
    ] = 20,
    form: Form = Format.TABLE,
    *,
    common: WithFiles,
) -> None:
    """Show the results of a run: of each record what became of it, its scores and its output.

    With RECORD, all that is known of that one: input, rendered prompt, the model's answers, output, scores with
    explanations, and what it cost. What is longer than the terminal is shown in a pager.

    Records that were kept back are shown as they were kept. The others are read from the source once more, and answers
    of models from the journal: no model is asked. A Python transform runs again."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.results import shown
    from loom.cli.output.results.paged import paged
    from loom.results import records

    config = common.configuration()
    follow.log_on_stderr(config, verbose=common.verbose)
    run_id = follow.wait_for(state.named_run(config, run_id))
    if record_id is None:
        found = follow.wait_for(records.results(config, run_id, limit))
        if form is Format.JSON:
            terminal.print_json(found.as_json())
        else:
            shown.print_results(found, common.flags)
        return
    one = follow.wait_for(records.record(config, run_id, record_id))
    if form is Format.JSON:
        terminal.print_json(one.as_json())
    else:
        paged(lambda console: shown.print_record(one, console))
