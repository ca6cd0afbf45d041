"""Runs a server that answers requests with the bytes that a test says, whether they are HTTP or not."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")


def answer(body: bytes = b"fine", *headers: str, status: str = "200 OK") -> bytes:
    """Write a response."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return f"{head}\r\n\r\n".encode() + body


@dataclass
class RawServer:
    """Listens on loopback. `respond` says what the n-th request is answered with; None closes its connection."""

    respond: Callable[[int], bytes | None] = lambda _: answer()
    tls: ssl.SSLContext | None = None
    closes: Callable[[int], bool] = lambda _: False
    """Tells whether the connection is closed after the answer to the n-th request."""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self.tls)
        self.place = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._writers: set[asyncio.StreamWriter] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.close_connections()
        await self._server.wait_closed()

    def close_connections(self) -> None:
        """Close the connections that are open, and go on listening."""
        for each in self._writers:
            each.close()

    def say(self, data: bytes) -> None:
        """Send what nobody asked for, on all connections."""
        for each in self._writers:
            each.write(data)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                assert length is not None
                self.requests.append(head + await reader.readexactly(int(length[1])))
                said = self.respond(len(self.requests))
                if said is not None:
                    writer.write(said)
                    await writer.drain()
                if said is None or self.closes(len(self.requests)):
                    break
        self._writers.discard(writer)
        self.open -= 1
        writer.close()
