"""What is sent to RabbitMQ in one turn of the event loop is one write to the socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from loom_common.adapters.amqp.socket_writes import GatheringTransport


class Peer:
    """Keeps what arrives, and the writes of the other side."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(1024):
            self.received += some
        writer.close()
        self.ended.set()


@asynccontextmanager
async def connected(peer: Peer, writes: list[bytes], patch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.StreamWriter]:
    """Connect to `peer`. What is given to the socket goes to `writes` too."""
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await GatheringTransport().create(URL(f"amqp://127.0.0.1:{port}"), ssl_context_provider=None)
        through = asyncio.StreamWriter.writelines

        def noted(self: asyncio.StreamWriter, lines: list[bytes]) -> None:
            writes.append(b"".join(lines))
            through(self, lines)

        patch.setattr(asyncio.StreamWriter, "writelines", noted)
        yield writer
        writer.close()
        await writer.wait_closed()
        await peer.ended.wait()


async def test_what_is_written_in_one_turn_is_sent_at_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, writes = Peer(), list[bytes]()
    async with connected(peer, writes, monkeypatch) as writer:
        for part in (b"one ", b"two ", b"three "):
            writer.write(part)
        assert writes == []
        await asyncio.sleep(0)
        assert writes == [b"one two three "]
        writer.write(b"four")
        await asyncio.sleep(0)
        assert writes == [b"one two three ", b"four"]
    assert peer.received == b"one two three four"


@pytest.mark.parametrize("end", ["drain", "write_eof", "close"])
async def test_what_is_held_is_sent_before_the_connection_is_waited_for_or_ends(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, writes = Peer(), list[bytes]()
    async with connected(peer, writes, monkeypatch) as writer:
        writer.write(b"the last")
        if end == "drain":
            await writer.drain()
        else:
            getattr(writer, end)()
        assert writes == [b"the last"]
    assert peer.received == b"the last"


async def test_what_is_held_when_the_connection_is_lost_is_dropped_and_no_error_is_raised_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer, writes, errors = Peer(), list[bytes](), list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with connected(peer, writes, monkeypatch) as writer:
        writer.write(b"too late")
        writer.transport.abort()
        await asyncio.sleep(0)
        assert writes == []
    assert errors == []
    assert peer.received == b""


async def test_reading_is_not_stopped_within_a_large_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, stopped = b"x" * 800_000, list[bool]()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(batch)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = URL(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        reader, writer = await GatheringTransport().create(url, ssl_context_provider=None)
        monkeypatch.setattr(type(writer.transport), "pause_reading", lambda _: stopped.append(True))
        assert await asyncio.wait_for(reader.readexactly(len(batch)), 10) == batch
        writer.close()
    assert stopped == []
