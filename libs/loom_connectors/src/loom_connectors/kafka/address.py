"""Takes a `kafka://` URL apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.server_urls import held_files, servers_url, settings_of

GROUP = "loom"
"""Names the consumer group where the URL names none."""
_TLS = {
    "ssl_ca": "ssl.ca.location",
    "ssl_cert": "ssl.certificate.location",
    "ssl_key": "ssl.key.location",
}
"""Settings of a URL, and what the client of Kafka calls them."""
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_PORT = 9092
_FORM = "kafka://user:password@host:9092,host2:9092/topic?group=name"


@dataclass(frozen=True, slots=True)
class Address:
    """Represents a `kafka://` URL, taken apart."""

    shown: str
    """The brokers, fit to be shown, in the order of their names."""
    topic: str
    """Empty where the URL names none."""
    group: str
    client: Mapping[str, Any] = field(repr=False)
    """Holds the settings of the client. The password is among them."""

    @staticmethod
    def of(location: str, context: ConnectorContext) -> Address:
        """Take a location apart. Raises `ConfigurationError`, without the URL: it may hold a password in the wrong
        place, and `PathNotAllowed`."""
        url, servers = servers_url(location, context.credentials, "kafka")
        if not servers:
            raise ConfigurationError(f"The kafka:// URL names no host: {_FORM}.")
        topic = unquote(url.path.strip("/"))
        if topic and not _TOPIC.fullmatch(topic):
            raise ConfigurationError(
                "The kafka:// URL names a topic that Kafka cannot have: names are of letters, digits, points, - and _, "
                f"249 at most. {_FORM}."
            )
        encrypted = url.scheme.lower() == "kafkas"
        settings = held_files(settings_of(url, "kafka", ("group", "sasl", *_TLS)), _TLS, context)
        client = {**_signed_in(url.username, url.password, settings), **_encrypted(settings, encrypted=encrypted)}
        layers = ("SASL_" if url.username else "") + ("SSL" if encrypted else "PLAINTEXT")
        brokers = sorted(f"{_bracketed(host)}:{port or _PORT}" for host, port in servers)
        client |= {"bootstrap.servers": ",".join(brokers), "security.protocol": layers}
        shown = f"{'kafkas' if encrypted else 'kafka'}://{','.join(brokers)}"
        return Address(shown, topic, settings.get("group") or GROUP, client)


def _signed_in(user: str | None, password: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    if not user:
        if "sasl" in settings:
            raise ConfigurationError(f"The kafka:// URL sets 'sasl', and names no user to sign in: {_FORM}.")
        return {}
    mechanism = (settings.get("sasl") or _MECHANISMS[0]).upper()
    if mechanism not in _MECHANISMS:
        raise ConfigurationError(
            f"The kafka:// URL sets 'sasl' to a mechanism that Loom does not know. It knows {', '.join(_MECHANISMS)}."
        )
    return {
        "sasl.mechanism": mechanism,
        "sasl.username": unquote(user),
        "sasl.password": unquote(password or ""),
    }


def _encrypted(settings: Mapping[str, str], *, encrypted: bool) -> dict[str, str]:
    if encrypted:
        # "probe" looks for the certificates that this machine trusts, which the client's own OpenSSL does not know.
        return {"ssl.ca.location": "probe", **{_TLS[key]: value for key, value in settings.items() if key in _TLS}}
    if given := sorted(set(_TLS) & set(settings)):
        raise ConfigurationError(f"The kafka:// URL sets '{given[0]}', which is for TLS. Write kafkas:// for that.")
    return {}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
