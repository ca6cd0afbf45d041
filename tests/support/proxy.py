"""Runs a TCP proxy that can be a bad network: it breaks connections, swallows what is said on them, or is slow."""

from __future__ import annotations

import asyncio
import socket
import struct
from urllib.parse import urlsplit, urlunsplit

from loom_dev.backends.ports import reserve_port

_CHUNK = 64 * 1024
_AT_ONCE_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes the kernel answer with RST instead of an orderly end."""


class Proxy:
    """Stands before one server on loopback."""

    def __init__(self, target: str) -> None:
        """Take the server's URL as `target`."""
        parts = urlsplit(target)
        self._server_port = parts.port
        self.port = reserve_port()
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{self.port}")))
        self.delay = 0.0
        """The number of seconds that everything takes on its way, in each direction."""
        self._hole = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def reset(self) -> None:
        """Break every connection, as a restarted firewall does. New ones are let through."""
        for writer in [each for each in self._writers if not each.is_closing()]:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE_RESET)
            writer.transport.abort()

    async def refuse(self) -> None:
        """Break every connection, and take no new one, as a server that is down."""
        self._server.close()
        self.reset()

    async def accept(self) -> None:
        """Take connections again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def swallow(self) -> None:
        """From now on nothing arrives, on old connections or new ones, and nobody is told."""
        self._hole = True

    def let_through(self) -> None:
        """Let new connections work again. Connections that lost data never recover."""
        self._hole = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        self._serving.add(serving)
        try:
            await self._connect(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy ends; asyncio's own server would report it as an error
        finally:
            self._serving.discard(serving)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            return
        pair = {writer, forth}
        self._writers |= pair
        hurt = asyncio.Event()
        pumps = [asyncio.create_task(self._pump(*way, hurt)) for way in ((reader, forth), (back, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers -= pair
            forth.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, hurt: asyncio.Event) -> None:
        """Hand on what one side says, until it says no more or the other does not listen."""
        late: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(source, late, hurt))
        try:
            while (item := await late.get()) is not None:
                when, data = item
                if (wait := when - _now()) > 0:
                    await asyncio.sleep(wait)
                target.write(data)
                await target.drain()
        except OSError:
            return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(
        self, source: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes] | None], hurt: asyncio.Event
    ) -> None:
        try:
            while data := await source.read(_CHUNK):
                if self._hole:
                    hurt.set()
                if not hurt.is_set():
                    late.put_nowait((_now() + self.delay, data))
        except OSError:
            pass
        finally:
            late.put_nowait(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
