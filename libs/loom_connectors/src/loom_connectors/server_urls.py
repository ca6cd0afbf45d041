"""Takes the URL of a server apart: `mysql://user:password@host:port/database?setting=value`."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from loom_common.allowed_paths import MOUNTED, AllowedPaths
from loom_common.config.credentials import Credentials
from loom_common.errors import ConfigurationError
from loom_connectors.options import closest
from loom_connectors.ports.context import ConnectorContext


def server_url(location: str, credentials: Credentials, scheme: str) -> SplitResult:
    """Return the parts of a location whose references to secrets are resolved. Raises `ConfigurationError`, without
    the URL: it may hold a password in the wrong place."""
    with _read_as(scheme):
        url = urlsplit(credentials.expand(location, in_url=True))
        url.port  # noqa: B018 - raises where it is no number
    return url


def servers_url(
    location: str, credentials: Credentials, scheme: str
) -> tuple[SplitResult, list[tuple[str, int | None]]]:
    """Return the parts of a location that may name several servers, `scheme://user:password@one:1,two:2/path`, and the
    host and the port of each server that it names. Raises as `server_url` does."""
    with _read_as(scheme):
        url = urlsplit(credentials.expand(location, in_url=True))
        each = [urlsplit(f"//{server}") for server in url.netloc.rpartition("@")[2].split(",")]
        servers = [(server.hostname, server.port) for server in each if server.hostname]
    return url, servers


@contextmanager
def _read_as(scheme: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigurationError(
            f"The {scheme}:// URL cannot be read: {error}. Percent-encode special characters in user and password."
        ) from None


def settings_of(url: SplitResult, scheme: str, known: Collection[str]) -> dict[str, str]:
    """Return the settings of a URL, the last of each name. Raises `ConfigurationError` for one that is not known."""
    settings = dict(parse_qsl(url.query, keep_blank_values=True))
    for key in settings:
        if key not in known:
            near = closest(key, list(known))
            hint = f"Did you mean '{near}'?" if near else f"It knows {', '.join(known)}."
            raise ConfigurationError(f"The {scheme}:// URL has the unknown setting '{key}'. {hint}")
    return settings


def held_files(settings: Mapping[str, str], files: Collection[str], context: ConnectorContext) -> dict[str, str]:
    """Return the settings of a URL, of which `files` are absolute paths now: relative ones start at the pipeline's
    folder. Raises `PathNotAllowed` for a file out of the project, unless it lies where secrets are mounted, or where
    this machine keeps the certificates that it trusts."""
    trusted = ssl.get_default_verify_paths()
    here = (MOUNTED, Path(trusted.openssl_cafile), Path(trusted.openssl_capath))
    allowed = AllowedPaths.of(*context.allowed, context.folder, *here)
    held = dict(settings)
    for name in files:
        if written := settings.get(name):
            path = (context.folder / Path(written).expanduser()).absolute()
            allowed.real(path)
            held[name] = str(path)
    return held
