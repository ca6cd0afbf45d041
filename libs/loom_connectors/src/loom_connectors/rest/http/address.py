"""Takes the location of a REST API apart: `rest+https://host/path?a=b`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

from loom_common.config.credentials import Credentials
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Represents what credentials are sent to, and nothing else: scheme, host and port."""

    scheme: str
    host: str
    port: int | None

    @staticmethod
    def of(url: str) -> Origin:
        """Raises `ValueError` for a port that is no number."""
        parts = urlsplit(url)
        return Origin(parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme))


@dataclass(frozen=True, slots=True)
class Address:
    """Represents an address, taken apart. Its representation holds no secret."""

    url: str = field(repr=False)
    """The URL without user, password and query."""
    query: Query = field(repr=False)
    """Holds the parameters of the location that hold no secret."""
    secret_query: Query = field(repr=False)
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    shown: str

    @staticmethod
    def of(location: str, credentials: Credentials, key: str) -> Address:
        """Raises `ConfigurationError`, without the secrets. `key` names the setting that holds the location."""
        prefix, plus, inner = location.partition("+")
        is_prefixed = plus == "+" and prefix.lower() == "rest"
        written = credentials.expand(inner if is_prefixed else location, in_url=True)
        try:
            parts = urlsplit(written if is_prefixed else written.removeprefix("rest+"))
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigurationError(f"{key}: '{redacted(location)}': expected rest+https://host/path.")
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit((parts.scheme, host, parts.path or "/", "", ""))
        user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
        shown = redacted(location).partition("?")[0].removeprefix("rest+")
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        referring = {name for name, value in parse_qsl(location.partition("?")[2]) if "${" in value}
        open_pairs, secret_pairs = (
            [pair for pair in pairs if (pair[0] in referring) is each] for each in (False, True)
        )
        return Address(url, open_pairs, secret_pairs, user, password, shown)

    @property
    def origin(self) -> Origin:
        """Return what credentials are sent to."""
        return Origin.of(self.url)


def with_query(url: str, query: Query) -> str:
    """Return the URL with further parameters."""
    if not query:
        return url
    parts = urlsplit(url)
    joined = "&".join(filter(None, (parts.query, urlencode(query))))
    return urlunsplit(parts._replace(query=joined, fragment=""))


def lacking(url: str, query: Query) -> Query:
    """Return those parameters whose names the URL does not have."""
    there = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    return [pair for pair in query if pair[0] not in there]


def without(url: str, secrets: Sequence[str], names: Sequence[str]) -> str:
    """Return the URL without the parameters of these names, and without those whose value is one of the secrets."""
    parts = urlsplit(url)
    kept = [
        piece
        for piece in parts.query.split("&")
        if piece and not any(name in names or value in secrets for name, value in parse_qsl(piece) or [("", "")])
    ]
    return urlunsplit(parts._replace(query="&".join(kept), fragment=""))


def joined(base: str, link: str) -> str:
    """Return a link as an absolute URL. Raises `ValueError` where it is none."""
    url = urljoin(base, link.strip())
    origin = Origin.of(url)
    if origin.scheme not in _PORTS or not origin.host:
        raise ValueError(link)
    return url
