"""Takes the URL of a server apart: `mysql://user:password@host:port/database?setting=value`."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, parse_qsl, urlsplit

from loom_common.config.credentials import Credentials
from loom_common.errors import ConfigurationError
from loom_connectors.options import closest


def server_url(location: str, credentials: Credentials, scheme: str) -> SplitResult:
    """Return the parts of a location whose references to secrets are resolved. Raises `ConfigurationError`, without
    the URL: it may hold a password in the wrong place."""
    try:
        url = urlsplit(credentials.expand(location, in_url=True))
        url.port  # noqa: B018 - raises where it is no number
    except ValueError as error:
        raise ConfigurationError(
            f"The {scheme}:// URL cannot be read: {error}. Percent-encode special characters in user and password."
        ) from None
    return url


def settings_of(url: SplitResult, scheme: str, known: Collection[str]) -> dict[str, str]:
    """Return the settings of a URL, the last of each name. Raises `ConfigurationError` for one that is not known."""
    settings = dict(parse_qsl(url.query, keep_blank_values=True))
    for key in settings:
        if key not in known:
            near = closest(key, list(known))
            hint = f"Did you mean '{near}'?" if near else f"It knows {', '.join(known)}."
            raise ConfigurationError(f"The {scheme}:// URL has the unknown setting '{key}'. {hint}")
    return settings
