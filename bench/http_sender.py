"""Sends the same kind of request again and again over connections that stay open, for a fraction of the CPU of a full
client, so that what is measured is the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self, cast
from uuid import uuid4

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """Sends one request after the other, and waits for the answer to each."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._whole = 0
        self._answered: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def opened(cls, host: str, port: int) -> Self:
        """Open the connection that requests are sent on."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection, to write requests to it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer, which says its length."""
        self._got += data
        if not self._whole and (at := self._got.find(_END)) >= 0:
            head = bytes(self._got[:at]).lower()
            length = head.partition(_LENGTH)[2].partition(b"\r\n")[0]
            self._whole = at + len(_END) + int(length)
        if self._whole and len(self._got) >= self._whole and self._answered is not None:
            status = int(self._got[9:12])
            del self._got[: self._whole]
            self._whole = 0
            self._answered.set_result(status)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits for an answer."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionError("the server closed the connection"))

    async def send(self, request: bytes) -> int:
        """Send a request, and return the status of its answer."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        """Close the connection that requests were sent on."""
        if self._transport is not None:
            self._transport.close()


def posting(path: str, host: str, *, once: bool = False) -> Callable[[bytes], bytes]:
    """Return what makes a request of a body of JSON; `once` gives each an `Idempotency-Key`."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "

    def of(body: bytes) -> bytes:
        key = f"\r\nIdempotency-Key: {uuid4()}" if once else ""
        return f"{head}{len(body)}{key}\r\n\r\n".encode() + body

    return of
