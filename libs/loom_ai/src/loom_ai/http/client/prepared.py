"""Writes the heads of requests. It does no I/O."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from yarl import URL

from loom_ai.http.client.errors import InvalidRequest

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_OWN = frozenset({"content-length", "transfer-encoding"})
"""Holds the headers by which a server finds the end of a request. Only this client sets them."""
_USUAL = (("Accept", "*/*"), ("User-Agent", "loom"))


class Origin(NamedTuple):
    """Names a server to which connections can be opened."""

    host: str
    port: int
    tls: bool


class Prepared(NamedTuple):
    """Holds what is the same in all requests with an address and headers."""

    origin: Origin
    head: bytes
    """Holds the beginning of the request. The number of bytes of its body, and an empty line, follow."""

    def with_body(self, body: bytes) -> bytes:
        """Return the whole request."""
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body)


def prepared(url: str, headers: tuple[tuple[str, str], ...]) -> Prepared:
    """Prepare requests to `url`. Of headers with the same name the last one is sent, and one that is given goes before
    what the URL says (`user:password@`). Raises `InvalidRequest`."""
    address = _address(url)
    assert address.raw_host is not None
    assert address.port is not None
    given = {"host": ("Host", address.host_port_subcomponent or "")}
    for name, value in (*_USUAL, *_authorization(address), *headers):
        given[name.lower()] = (name, value)
    lines = [f"POST {address.raw_path_qs} HTTP/1.1", *(_line(*each) for each in given.values()), "Content-Length: "]
    origin = Origin(address.raw_host, address.port, address.scheme == "https")
    return Prepared(origin, "\r\n".join(lines).encode())


def _address(url: str) -> URL:
    try:
        address = URL(url)
        usable = address.scheme in ("http", "https") and bool(address.raw_host) and bool(address.port)
    except ValueError as error:
        raise InvalidRequest("`base_url` is no http(s) address") from error
    if not usable:
        raise InvalidRequest("`base_url` is no http(s) address")
    return address


def _line(name: str, value: str) -> str:
    if not _NAME.fullmatch(name) or name.lower() in _OWN:
        raise InvalidRequest(f"the header {name[:100]!r} cannot be sent")
    if not _VALUE.fullmatch(value):
        raise InvalidRequest(f"the header {name} holds a line break or another control character")
    return f"{name}: {value}"


def _authorization(address: URL) -> tuple[tuple[str, str], ...]:
    """Return the header of HTTP's basic authentication, where the address names a user."""
    if address.user is None and address.password is None:
        return ()
    pair = f"{address.user or ''}:{address.password or ''}".encode()
    return (("Authorization", f"Basic {base64.b64encode(pair).decode()}"),)
