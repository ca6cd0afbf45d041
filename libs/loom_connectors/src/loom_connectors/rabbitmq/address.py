"""Takes an `amqp://` URL apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlencode

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, server_url, settings_of

_TLS = {"ssl_ca": "cafile", "ssl_cert": "certfile", "ssl_key": "keyfile"}
"""Settings of a URL, and what the AMQP client calls them."""


_NAME = re.compile(r"[a-zA-Z0-9_.:@#,/+ -]{0,255}")
"""Matches the names that `pamqp` sends: fewer than AMQP 0-9-1 and RabbitMQ would take."""


@dataclass(frozen=True, slots=True)
class Address:
    """Represents an `amqp://` URL, taken apart."""

    url: str
    """The broker's URL as the client takes it. It holds the password."""
    shown: str
    """The broker and the virtual host, fit to be shown."""
    settings: Mapping[str, str]
    """Holds what the URL says besides: `queue`, or `exchange` and `routing_key`."""

    @staticmethod
    def of(location: str, context: ConnectorContext, known: tuple[str, ...]) -> Address:
        """Take a location apart whose query may have the `known` settings. Raises `ConfigurationError`, without the
        URL: it may hold a password in the wrong place, and `PathNotAllowed`."""
        url = server_url(location, context.credentials, "amqp")
        if not url.hostname:
            raise ConfigurationError("The amqp:// URL names no host: amqp://user:password@host/vhost?queue=name.")
        query = held_files(settings_of(url, "amqp", (*known, *_TLS)), _TLS, context)
        for kind in ("queue", "exchange"):
            if not _NAME.fullmatch(query.get(kind, "")):
                raise ConfigurationError(
                    f"The amqp:// URL names the {kind} '{query[kind]}'. The client of RabbitMQ takes names of at most "
                    "255 of the letters A to Z, digits, spaces and -_.:@#,/+. Have one of such a name: a queue can be "
                    "bound to any exchange, and an exchange, too."
                )
        scheme = "amqps" if url.scheme.lower() == "amqps" else "amqp"
        tls = {_TLS[key]: value for key, value in query.items() if key in _TLS}
        vhost = unquote(url.path.removeprefix("/")) or "/"
        client = f"{scheme}://{url.netloc}{url.path or '/'}" + (f"?{urlencode(tls)}" if tls else "")
        at = f"{url.hostname}:{url.port or (5671 if scheme == 'amqps' else 5672)}"
        return Address(
            client,
            f"{scheme}://{at}/{'' if vhost == '/' else vhost}",
            {key: value for key, value in query.items() if key in known},
        )
