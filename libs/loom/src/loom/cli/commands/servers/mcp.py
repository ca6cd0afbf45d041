"""Implements `loom mcp`, by which agents look at a project, and run its pipelines, over the Model Context Protocol."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common
from loom.cli.options.groups import grouped

if TYPE_CHECKING:
    from loom.project.config import LoomConfig


@grouped
def mcp(
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Offer no tool that runs a pipeline or steers a run.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(metavar="USD", min=0.0, help="What any run may cost at most, whatever the agent asks for."),
    ] = None,
    *,
    common: Common,
) -> None:
    """Offer the project's pipelines to an agent: a server of the Model Context Protocol on stdin and stdout.

    Each pipeline is a tool, `run_NAME`; others look at runs, costs and quarantined records. Runs and their lineage are
    resources. Runs that an agent starts go on in this process; when the agent leaves, they are paused. See
    docs/agents.md."""
    from loom.cli.commands.follow import wait_for
    from loom_common import extras
    from loom_common.errors import ConfigurationError

    config = common.configuration()
    if find_spec("mcp") is None:
        raise ConfigurationError(f"The server for agents is not installed. Install it with {extras.remedy('mcp')}.")
    wait_for(_serve(config, budget or None, read_only=read_only, verbose=common.verbose))


async def _serve(config: LoomConfig, budget: float | None, *, read_only: bool, verbose: bool) -> None:
    import anyio
    from mcp.server.stdio import stdio_server

    from loom.agents.reading import reading_tools
    from loom.agents.running import Runs
    from loom.agents.server import server_of
    from loom.agents.tool import Tool
    from loom.cli.commands.follow import log_on_stderr
    from loom.cli.output import stdout
    from loom.cli.output.terminal import say
    from loom.sdk.serving import open_serving

    log_on_stderr(config, verbose=verbose)
    async with open_serving(config) as session:
        runs = Runs(config, session, budget)

        def tools() -> list[Tool]:
            return [*reading_tools(config), *([] if read_only else runs.tools())]

        server = server_of(config, tools)
        # What user code prints goes to stderr; the protocol has stdout for itself.
        async with stdio_server(stdout=anyio.wrap_file(stdout.stream())) as (incoming, outgoing):
            say("An agent may use this project's pipelines on stdin and stdout. The end of stdin ends this.")
            await server.run(incoming, outgoing, server.create_initialization_options())
        for run_id in await session.checkpoint():
            say(f"{run_id} is paused; nothing is lost. Resume with: loom resume {run_id}")
