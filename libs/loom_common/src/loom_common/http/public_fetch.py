"""Fetches a small file that a record names by its address, and reaches no address within a private network.

Whoever writes a record chooses the address. It must not make a worker ask what only the worker can reach: services on
its own machine, in its network, or the metadata service of its cloud (server-side request forgery). So the addresses
that a name resolves to are looked at, the connection goes to exactly those, and each redirection is looked at again."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from loom_common.errors import RecordError
from loom_common.http.bodies import ACCEPTED, read_body
from loom_common.http.public_addresses import Network, may_be_reached, refused, shown, too_large

_REDIRECTS = 3
_TRIES = 2
_LIMITS = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0, sock_read=15.0)


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
