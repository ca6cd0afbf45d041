"""Opens REST sources and destinations on the server of the tests, with a clock that waits for nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom_common.config.credentials import Credentials, EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.ports.clock import Clock
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from support.clocks import ManualClock
from support.rest_server import CLIENT, TOKEN, Api

AUTH: dict[str, dict[str, Any]] = {
    "bearer": {"type": "bearer", "token": "${TOKEN}"},
    "basic": {"type": "basic", "username": "me", "password": "${TOKEN}"},
    "header": {"type": "api_key", "name": "X-Key", "api_key": "${TOKEN}"},
    "query": {"type": "api_key", "name": "key", "api_key": "${TOKEN}", "location": "query"},
}


def fetched(api: Api, **changes: Any) -> dict[str, Any]:
    """Return the option `auth` that fetches a token."""
    return {
        "type": "oauth2_client_credentials",
        "access_token_url": f"{api.url}/token",
        "client_id": CLIENT[0],
        "client_secret": "${CLIENT_SECRET}",
        **changes,
    }


def context(clock: Clock | None = None, **more: Any) -> ConnectorContext:
    """Return a context that knows the secrets of the server."""
    environ = {"TOKEN": TOKEN, "CLIENT_SECRET": CLIENT[1]}
    return ConnectorContext(Path(), Credentials({"env": EnvProvider(environ)}), clock=clock or ManualClock(), **more)


@asynccontextmanager
async def reading(location: str, clock: Clock | None = None, extract: dict[str, Any] | None = None, **options: Any):
    """Open a source, and close it."""
    config = ExtractConfig(source=location, options=options, **(extract or {}))
    opened = open_source(config, context(clock))
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def sending(location: str, clock: Clock | None = None, load: dict[str, Any] | None = None, **options: Any):
    """Open a destination, and close it."""
    config = LoadConfig(destination=location, options=options, **(load or {}))
    opened = open_destination(config, context(clock))
    try:
        yield opened
    finally:
        await opened.close()
