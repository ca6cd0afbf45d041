"""Implements `loom resume`, which lets a run or a stream go on."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.commands.run import RunId, Wait
from loom.cli.options.common import Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format


@grouped
def resume(
    run_id: RunId,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=1e-6, max=1e12, help="What the run may cost in all, from now on."),
    ] = None,
    wait: Wait = False,
    form: Form = Format.TABLE,
    *,
    common: WithFiles,
) -> None:
    """Finish a run that was interrupted, paused or killed, or that failed. What was done is not done again.

    `latest` is the newest run. One that spent its budget goes on with `--budget`. A stream goes on where it was; a
    window is one of its stream."""
    from loom.cli.commands import follow, state

    settings = common.configuration()
    run_id = follow.wait_for(state.named_run(settings, run_id))
    stream = follow.wait_for(state.stream_meant(settings, run_id))
    if stream is not None:
        from loom.cli.commands.streams import following

        code = follow.wait_for(
            following.carry_out(
                settings,
                lambda session: session.resume(stream, budget),
                form,
                verbose=common.verbose,
                flags=common.flags,
                wait=wait,
            )
        )
        raise typer.Exit(code)
    outcome = follow.wait_for(
        follow.carry_out(
            settings,
            lambda session: session.resume(run_id, budget),
            form,
            verbose=common.verbose,
            flags=common.flags,
            wait=wait,
        )
    )
    raise typer.Exit(outcome.code)
