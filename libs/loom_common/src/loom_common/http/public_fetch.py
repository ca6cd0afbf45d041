"""Fetches a small file that a record names by its address, and reaches no address within a private network.

Whoever writes a record chooses the address. It must not make a worker ask what only the worker can reach: services on
its own machine, in its network, or the metadata service of its cloud (server-side request forgery). So the addresses
that a name resolves to are looked at, the connection goes to exactly those, and each redirection is looked at again.
`LOOM_ALLOWED_NETWORKS` of the worker names networks that may be reached all the same, e.g. `10.1.0.0/16`."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, RecordError
from loom_common.http.bodies import ACCEPTED, read_body

VARIABLE = "LOOM_ALLOWED_NETWORKS"
_REDIRECTS = 3
_TRIES = 2
_LIMITS = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0, sock_read=15.0)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def allowed_networks(environ: Mapping[str, str] | None = None) -> tuple[Network, ...]:
    """Return the private networks that may be reached. Raises `ConfigurationError` where the variable names none."""
    text = (os.environ if environ is None else environ).get(VARIABLE, "")
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE} is no list of networks, such as 10.1.0.0/16,fd00::/8: {error}.") from None


def may_be_reached(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether an IP address is a public one, or lies in one of the allowed networks."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    found = mapped or found
    if any(found in network for network in allowed if network.version == found.version):
        return True
    return found.is_global and not found.is_multicast


async def fetch(url: str, most: int, allowed: Sequence[Network] = ()) -> bytes:
    """Return what lies at an http(s) address, of at most `most` bytes.

    Raises `RecordError`: `attachment_refused` for an address that may not be reached, `attachment_too_large`, and
    `attachment_unavailable` where the server gives no file."""
    error: RecordError | None = None
    for _ in range(_TRIES):
        try:
            return await _fetched(url, most, allowed)
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            private = failed.__cause__ if isinstance(failed.__cause__, _Private) else None
            if private is not None:
                raise refused(url, str(private)) from None
            cause = type(failed).__name__
            error = RecordError(f"{shown(url)} cannot be fetched ({cause})", code="attachment_unavailable")
    assert error is not None
    raise error


async def _fetched(url: str, most: int, allowed: Sequence[Network]) -> bytes:
    connector = aiohttp.TCPConnector(resolver=_PublicResolver(allowed), limit=1, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, timeout=_LIMITS
    ) as session:
        for _ in range(_REDIRECTS + 1):
            _see_that_it_may_be_reached(url, allowed)
            headers = {"User-Agent": "loom", "Accept-Encoding": ACCEPTED}
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                if response.status != 200:
                    words = f"{shown(url)} cannot be fetched: the server answered {response.status}"
                    raise RecordError(words, code="attachment_unavailable")
                body = await read_body(response, most)
                if len(body.data) >= most and body.fault is not None:
                    raise too_large(shown(url), most)
                if body.fault is not None:
                    words = f"{shown(url)} cannot be fetched: {body.fault}"
                    raise RecordError(words, code="attachment_unavailable")
                return body.data
    raise RecordError(f"{shown(url)} redirects more than {_REDIRECTS} times", code="attachment_unavailable")


def _see_that_it_may_be_reached(url: str, allowed: Sequence[Network]) -> None:
    """Refuse other schemes, and addresses that are written as numbers: no name is resolved for those."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refused(url, "only http and https addresses are fetched")
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    if not may_be_reached(parts.hostname, allowed):
        raise refused(url, "it is an address of a private network")


class _Private(OSError):
    """Reports a name that stands for an address of a private network."""


class _PublicResolver(AbstractResolver):
    """Resolves names to addresses that may be reached. The connection is made to one of those, so that a name cannot
    stand for another address by then."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(may_be_reached(each["host"], self._allowed) for each in found):
            raise _Private("its name stands for an address of a private network")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def shown(url: str) -> str:
    """Return an address without user, password and query, which may hold keys."""
    return redacted(url.partition("?")[0])[:300]


def refused(url: str, why: str) -> RecordError:
    """Return the error of an address that is not fetched."""
    words = f"{shown(url)} is not fetched: {why}. Networks that may be reached stand in {VARIABLE} of the worker"
    return RecordError(words, code="attachment_refused")


def too_large(place: str, most: int) -> RecordError:
    """Return the error of an attachment of more than `most` bytes."""
    return RecordError(f"{place} has more than {most:,} bytes", code="attachment_too_large")
