"""Looks up the addresses of servers, and opens sockets to them."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

from aiohappyeyeballs import AddrInfoType, start_connection

from loom_ai.http.client.prepared import Origin

_KEPT_SECONDS = 10.0
_NEXT_AFTER_SECONDS = 0.25
"""After so long the next address is tried as well, as RFC 8305 recommends."""


@dataclass(slots=True)
class _Lookup:
    """Represents a look-up of a server's addresses, which all wait for who open a connection to it meanwhile."""

    found: asyncio.Task[list[AddrInfoType]]
    begun: float
    turns: int = field(default=0)


class Addresses:
    """Looks up addresses, and keeps them for 10 s. Connections are spread over all addresses of a server."""

    def __init__(self) -> None:
        self._lookups: dict[Origin, _Lookup] = {}

    async def connected(self, origin: Origin) -> socket.socket:
        """Return a socket that is connected to the server. Raises `OSError`."""
        return await start_connection(await self._found(origin), happy_eyeballs_delay=_NEXT_AFTER_SECONDS)

    async def _found(self, origin: Origin) -> list[AddrInfoType]:
        loop = asyncio.get_running_loop()
        lookup = self._lookups.get(origin)
        if lookup is None or (lookup.found.done() and (_failed(lookup) or loop.time() > lookup.begun + _KEPT_SECONDS)):
            looking = loop.create_task(_look_up(origin))
            lookup = self._lookups[origin] = _Lookup(looking, loop.time())
        found = await asyncio.shield(lookup.found)
        lookup.turns += 1
        first = lookup.turns % len(found)
        return found[first:] + found[:first]


def _failed(lookup: _Lookup) -> bool:
    return lookup.found.cancelled() or lookup.found.exception() is not None


async def _look_up(origin: Origin) -> list[AddrInfoType]:
    loop = asyncio.get_running_loop()
    return list(await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM))
