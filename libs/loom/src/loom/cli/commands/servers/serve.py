"""Implements `loom serve`, which answers over HTTP what can be known of a project's pipelines and runs, and commands
them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import Common
from loom.cli.options.groups import grouped

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom_api.settings import ApiSettings

_STOP_SECONDS = 20.0
"""Says how long answers and batches in flight may take after Ctrl-C."""


@grouped
def serve(
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Where to listen; 0 for any free port. Default: 8780."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="The address to listen on. Default: 127.0.0.1.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Serve the web console and the REST API until Ctrl-C: pipelines, runs, records, costs and alerts. See
    docs/console.md and docs/api.md.

    Runs that are started over it run in this process; Ctrl-C pauses them, and says how to resume them. Its URL goes to
    stdout. It listens on addresses of this machine alone, unless `access` in loom.yaml says who may do what."""
    from loom.cli.commands.follow import wait_for
    from loom_common import extras
    from loom_common.errors import ConfigurationError

    config = common.configuration()
    try:
        import uvicorn  # noqa: F401 - in the wheel the API's code is there, and what it needs is an extra

        from loom_api.settings import ApiSettings
    except ImportError as error:
        raise ConfigurationError(
            f"The API needs the extra `serve`, which is not installed here: `{extras.command('serve')}` brings it."
        ) from error
    given: dict[str, Any] = {}
    if host is not None:
        given["host"] = host
    if port is not None:
        given["port"] = port
    wait_for(_serve(config, ApiSettings(**given), verbose=common.verbose))


async def _serve(config: LoomConfig, settings: ApiSettings, *, verbose: bool) -> None:
    import asyncio
    import threading

    from loom.cli.commands.follow import log_on_stderr
    from loom.cli.output import stdout
    from loom.cli.output.terminal import say
    from loom_api import server, service
    from loom_common.service import entry

    stop = asyncio.Event()
    entry.on_interrupt("interrupted: `loom history` shows the runs that were under way; `loom resume RUN` goes on")

    def on_signal() -> None:
        if stop.is_set():
            entry.end_interrupted()
        stop.set()
        # This is a thread, because it may be the event loop that does not come back.
        limit = threading.Timer(_STOP_SECONDS, entry.end_interrupted)
        limit.daemon = True
        limit.start()

    entry.call_on_interrupt(on_signal)

    def paused(run_id: str) -> None:
        say(
            f"{run_id} is stopped; what was in flight is done again, nothing is lost. Resume with: loom resume {run_id}"
        )

    log_on_stderr(config, verbose=verbose)
    listening = server.listen(settings, controlled=config.access.controlled)
    async with service.opened(config, settings, paused) as application:
        url = server.address_of(listening)
        stdout.stream().write(f"{url}\n")
        stdout.stream().flush()
        say(f"The web console of Loom, and its REST API: `curl {url}/api/v1/runs`. Ctrl-C ends it.")
        await server.serve(application, listening, stop)
