"""Takes a `redis://` URL apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of

GROUP = "loom"
"""Names the consumer group where the URL names none."""
_TLS = {"ssl_ca": "ssl_ca_certs", "ssl_cert": "ssl_certfile", "ssl_key": "ssl_keyfile"}
"""Settings of a URL, and what the client of Redis calls them."""
_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """Represents a `redis://` URL, taken apart."""

    shown: str
    """The server and the database, fit to be shown."""
    stream: str
    """Empty where the URL names none."""
    group: str
    connection: Mapping[str, Any] = field(repr=False)
    """Holds the arguments of the client. The password is among them."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Take a location apart. Raises `ConfigurationError`, without the URL: it may hold a password in the wrong
        place, and `PathNotAllowed`."""
        url = server_url(location, context.credentials, "redis")
        if not url.hostname:
            raise ConfigurationError("The redis:// URL names no host: redis://user:password@host/0?stream=name.")
        settings = held_files(settings_of(url, "redis", ("stream", "group", *_TLS)), _TLS, context)
        database = url.path.strip("/") or "0"
        if not database.isdecimal():
            raise ConfigurationError(
                "The redis:// URL names a database that is no number: redis://user:password@host/0?stream=name."
            )
        connection: dict[str, Any] = {"host": url.hostname, "port": url.port or _PORT, "db": int(database)}
        if url.username:
            connection["username"] = unquote(url.username)
        if url.password:
            connection["password"] = unquote(url.password)
        scheme = "redis"
        if url.scheme.lower() == "rediss":
            scheme = "rediss"
            connection |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
            connection |= {_TLS[key]: value for key, value in settings.items() if key in _TLS}
        elif given := sorted(set(_TLS) & set(settings)):
            raise ConfigurationError(f"The redis:// URL sets '{given[0]}', which is for TLS. Write rediss:// for that.")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return Address(
            f"{scheme}://{host}:{connection['port']}/{database}",
            settings.get("stream", ""),
            settings.get("group") or GROUP,
            connection,
        )
