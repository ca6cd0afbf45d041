"""Sends requests on connections that are kept for the next ones."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from functools import lru_cache

from loom_ai.http.client.addresses import Addresses
from loom_ai.http.client.connection import Connection
from loom_ai.http.client.errors import NoConnection
from loom_ai.http.client.incoming import Response
from loom_ai.http.client.prepared import Origin, prepared
from loom_common.http.bodies import MOST_BYTES

_IDLE_SECONDS = 30.0
_PREPARED = 256


class HttpClient:
    """Sends POST requests over HTTP/1.1. It opens as many connections as there are requests at the same time, because
    time spent waiting for one would count as the request's; who uses it limits them."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        """Take `most`, the bytes of the largest body that is read. More of a body is left out, and said."""
        self._most = most
        self._idle: dict[Origin, deque[Connection]] = {}
        self._addresses = Addresses()
        self._prepared = lru_cache(_PREPARED)(prepared)
        self._trusting: asyncio.Task[ssl.SSLContext] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, *, connect: float, read: float, total: float
    ) -> Response:
        """Send a request once, and return the response, whatever its status. `connect`, `read` and `total` are the
        seconds that a connection, the next piece of the response, and everything may take.

        Raises the errors of `loom_ai.http.client.errors`, and `TimeoutError`."""
        prepared = self._prepared(url, tuple(headers.items()))
        deadline = asyncio.get_running_loop().time() + total
        connection = self._kept(prepared.origin) or await self._opened(prepared.origin, connect, deadline)
        response = await connection.ask(prepared.with_body(body), self._most, read, deadline)
        self._keep(prepared.origin, connection)
        return response

    async def close(self) -> None:
        """Close all connections, also those that are given back later."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connections in self._idle.values():
            for each in connections:
                each.close()
        self._idle.clear()
        await asyncio.sleep(0)  # the event loop closes their sockets

    def _kept(self, origin: Origin) -> Connection | None:
        """Return the connection that was used last, so that those that are not needed get old."""
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.usable:
                return connection
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if self._closed:
            connection.close()
        if not connection.usable:
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(origin, deque()).append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(_IDLE_SECONDS / 2, self._sweep)

    def _sweep(self) -> None:
        """Close what was not used for long."""
        loop = asyncio.get_running_loop()
        for connections in self._idle.values():
            while connections and connections[0].idle_since <= loop.time() - _IDLE_SECONDS:
                connections.popleft().close()
        self._idle = {origin: connections for origin, connections in self._idle.items() if connections}
        self._sweeping = loop.call_later(_IDLE_SECONDS / 2, self._sweep) if self._idle else None

    async def _opened(self, origin: Origin, seconds: float, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        limit = asyncio.timeout_at(min(until, deadline))
        try:
            async with limit:
                return await self._connected(origin)
        except (OSError, UnicodeError) as error:
            if limit.expired() and until > deadline:
                raise
            raise NoConnection(str(error)) from error

    async def _connected(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        trusted = await self._trusted() if origin.tls else None
        socket = await self._addresses.connected(origin)
        try:
            _, connection = await loop.create_connection(
                Connection, sock=socket, ssl=trusted, server_hostname=origin.host if origin.tls else None
            )
        except BaseException:
            socket.close()
            raise
        return connection

    async def _trusted(self) -> ssl.SSLContext:
        """Return what certificates are checked by: those of the system, or of `SSL_CERT_FILE`. They are read once, in a
        thread, because that takes as long as many calls."""
        if self._trusting is None:
            self._trusting = asyncio.create_task(asyncio.to_thread(_tls))
        return await asyncio.shield(self._trusting)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
