"""Implements `loom resume`, which lets a run or a stream go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.commands.run import RunId, Wait
from loom.cli.options.common import Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.project.definition_file import LoadedPipeline
    from loom.session import RunEngine


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
    from loom.cli.commands.starting import chain, spawned
    from loom.cli.output.terminal import say
    from loom.project.person import person
    from loom.requests.spawned import below, request_for
    from loom_common.contracts.v1 import RunAccepted

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
    run = None if settings.distributed else follow.wait_for(state.ask(settings, lambda views: views.row(run_id)))
    spawn = [] if run is None else below(run.pipeline_name, run.spawns, settings)

    def carry_out(begin: follow.Begin) -> follow.Outcome:
        return follow.wait_for(
            follow.carry_out(
                settings,
                begin,
                form,
                verbose=common.verbose,
                flags=common.flags,
                wait=wait,
                report=not (spawn and form is Format.JSON),
            )
        )

    async def resumed(session: RunEngine) -> RunAccepted:
        if run is not None and spawn and run.status == "succeeded":  # what it spawns may not have
            return RunAccepted(run_id=run_id, pipeline=run.pipeline_name, status=run.status)
        return await session.resume(run_id, budget)

    if not spawn or run is None:
        raise typer.Exit(carry_out(resumed).code)

    def carry_out_spawned(loaded: LoadedPipeline, key: str) -> follow.Outcome:
        if (begin := spawned.going_on(settings, key)) is not None:
            return carry_out(begin)
        request = follow.wait_for(request_for(loaded, key, settings, wait=wait, say=say, requested_by=person()))
        return carry_out(lambda session: session.start(request))

    first = chain.Turn(run.pipeline_name, (), lambda: carry_out(resumed))
    raise typer.Exit(chain.carry_out(list(spawned.turns(spawn, first, carry_out_spawned)), form))
