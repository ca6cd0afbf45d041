"""Listens, and hands requests to the application until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from loom_api.http.answers import STOP
from loom_api.http.protocol import Protocol
from loom_api.settings import ApiSettings
from loom_common.errors import ConfigurationError

_BACKLOG = 512
_DRAIN_SECONDS = 10
"""Says how long answers that have begun may take once it is asked to stop."""


class Server(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def listen(settings: ApiSettings, *, controlled: bool = False) -> socket.socket:
    """Return a socket that listens on the settings' address. Raises `ConfigurationError` where it may not, because
    others reach it and access is not `controlled`, or cannot."""
    settings.refuse_open_address(controlled=controlled)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(settings, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _refused(settings, error) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the URL that a socket answers at."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: FastAPI, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer requests until `stop` is set; then finish the answers that have begun, and return. Streams of events end
    then."""

    async def stoppable(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, STOP: stop}, receive, send)

    config = uvicorn.Config(
        stoppable,
        loop="none",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        listening.close()


def _refused(settings: ApiSettings, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. Name another address in "
        "LOOM_API_HOST and LOOM_API_PORT; `loom serve` has --host and --port."
    )
