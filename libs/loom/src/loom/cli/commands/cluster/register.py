"""Implements `loom register`, which makes a pipeline known by its name without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Form, ForTarget
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom_common.contracts.v1 import PipelineRegistered


@grouped
def register(
    pipeline: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A pipeline file, or a pipeline's name.")],
    form: Form = Format.TABLE,
    *,
    common: ForTarget,
) -> None:
    """Make a pipeline known where it runs: on a cluster with --cluster, else in the project's run state.

    It is stored with its prompts and context files, in the place of what was registered under its name. From then on
    `loom run NAME`, a message or a request of the API starts it by its name, from any folder or machine. Where the
    cluster has policies, they decide whether that is allowed."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.plugins import refuse_registered
    from loom.project import catalog

    config = common.configuration(pipeline)
    loaded = catalog.find_file(pipeline, config)
    refuse_registered(loaded.pipeline)
    follow.log_on_stderr(config, verbose=common.verbose)
    answer = follow.wait_for(_registered(config, loaded))
    target = loaded.pipeline.target
    if form is Format.JSON:
        terminal.print_json({"pipeline": answer.pipeline, "version": answer.version, "target": target})
        return
    where = "the cluster" if config.distributed else "this project's run state"
    made_for = "" if target is None else f" for {target}"
    again = f"loom run {answer.pipeline}" + (" --cluster" if common.cluster else "")
    terminal.say(f"{answer.pipeline} {answer.version}{made_for} is known to {where}: `{again}` runs it.")


async def _registered(config: LoomConfig, loaded: LoadedPipeline) -> PipelineRegistered:
    from loom.project.person import person
    from loom.session import open_session
    from loom_common.contracts.v1 import RegisterPipeline

    registration = RegisterPipeline(
        definition=loaded.definition,
        files=loaded.files,
        base=config.base_of(loaded.folder),
        requested_by=person(),
    )
    async with open_session(config, follows=False) as session:
        return await session.register(registration)
