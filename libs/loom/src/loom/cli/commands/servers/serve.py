"""Implements `loom serve`, which answers over HTTP what can be known of a project's pipelines and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common
from loom.cli.options.groups import grouped

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom_api.settings import ApiSettings


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
    """Serve the REST API until Ctrl-C: pipelines, runs, records, costs and alerts as JSON. See docs/api.md.

    Its URL goes to stdout. It listens on addresses of this machine alone."""
    from loom.cli.commands.follow import wait_for
    from loom_common.errors import ConfigurationError

    config = common.configuration()
    try:
        from loom_api.settings import read_settings
    except ImportError as error:
        raise ConfigurationError(
            "The API is not installed here: `make install` in the checkout brings its package, loom-api."
        ) from error
    given: dict[str, str | int] = {}
    if host is not None:
        given["host"] = host
    if port is not None:
        given["port"] = port
    wait_for(_serve(config, read_settings(**given)))


async def _serve(config: LoomConfig, settings: ApiSettings) -> None:
    import asyncio
    import signal

    from loom.cli.output import stdout
    from loom.cli.output.terminal import say
    from loom_api import server, service

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listening = server.listen(settings)
    async with service.opened(config, settings) as application:
        url = server.address_of(listening)
        stdout.stream().write(f"{url}\n")
        stdout.stream().flush()
        say(f"The REST API of Loom: `curl {url}/api/v1/runs`. Ctrl-C ends it.")
        await server.serve(application, listening, stop)
