"""Writes to a socket at once what a connection to RabbitMQ sends in one turn of the event loop.

The client writes each message and each acknowledgement for itself. Each of these writes is a system call, and each may
wake the broker, which then reads a part of what is sent to it together and passes that on alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

READ_AHEAD = 1024 * 1024
"""Half the bytes that may be read from a socket before the client takes them. By asyncio's own limit of 64 KiB,
reading would be stopped and begun again for each large batch. The broker sends no more than the prefetch limit
allows."""


class GatheringWriter(asyncio.StreamWriter):
    """Holds what is written until the event loop's next turn, or until somebody waits for it to be sent."""

    def __init__(self, opened: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
        """Take the place of an open connection's writer. That one is kept, because it closes the connection when it is
        not used any more."""
        transport, self._turns = opened.transport, asyncio.get_running_loop()
        super().__init__(transport, transport.get_protocol(), reader, self._turns)
        self._opened = opened
        self._held: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines((bytes(data),))

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Hold what must not change any more: it is not copied."""
        if not self._held:
            self._turns.call_soon(self._send)
        self._held.extend(data)

    def write_eof(self) -> None:
        self._send()
        super().write_eof()

    async def drain(self) -> None:
        self._send()
        await super().drain()

    def close(self) -> None:
        self._send()
        super().close()

    def _send(self) -> None:
        held, self._held = self._held, []
        if held and not self.is_closing():  # where the connection is lost, the reader says so
            super().writelines(held)


class GatheringTransport(TransportFactory):
    """Opens connections that gather what is written to them, with TLS where the address is one of `amqps`."""

    writer: GatheringWriter | None = None
    """Writes to the connection that was opened last."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opening = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await opening.create(url, limit=READ_AHEAD, **kwargs)
        self.writer = GatheringWriter(writer, reader)
        return reader, self.writer
