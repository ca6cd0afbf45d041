"""Tests what the server does with bytes on a connection, before the application sees a request."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from loom_api import server
from loom_api.http.protocol import HEAD_BYTES
from loom_api.settings import ApiSettings
from loom_dev.waiting import within

GET = b"GET /size HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def connected():
    """Serve an application that says how large the body of a request is, and give a connection to it."""
    application, stop = FastAPI(), asyncio.Event()

    @application.api_route("/size", methods=["GET", "POST"])
    async def size(request: Request) -> int:
        return len(await request.body())

    async with within(20):
        listening = server.listen(ApiSettings(port=0))
        host, port = listening.getsockname()
        serving = asyncio.create_task(server.serve(application, listening, stop))
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield reader, writer
        finally:
            writer.close()
            stop.set()
            await serving


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def test_a_head_that_never_ends_is_refused_and_its_connection_closed():
    async with connected() as (reader, writer):
        writer.write(GET + b"X-Long: ")
        for _ in range(HEAD_BYTES // 1024 + 1):
            writer.write(b"x" * 1024)
        assert await answer(reader) == (400, b"The headers of the request are too long.")
        assert await reader.read() == b""


async def test_heads_of_many_requests_and_large_bodies_are_as_long_as_they_like_together():
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(GET + b"X-Long: " + b"x" * (HEAD_BYTES // 2) + b"\r\n\r\n")
            assert await answer(reader) == (200, b"0")
        large = 4 * HEAD_BYTES
        post = f"POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: {large}\r\n\r\n".encode()
        for _ in range(3):
            writer.write(post)
            for _ in range(large // 1024):
                writer.write(b"x" * 1024)
                await asyncio.sleep(0)
            assert await answer(reader) == (200, str(large).encode())


async def test_requests_that_are_sent_before_the_answers_are_answered_in_turn():
    async with connected() as (reader, writer):
        writer.write((GET + b"\r\n") * 3)
        assert [await answer(reader) for _ in range(3)] == [(200, b"0")] * 3


async def test_what_is_no_request_is_refused_and_its_connection_closed():
    async with connected() as (reader, writer):
        writer.write(b"NONE\r\n\r\n")
        assert (await answer(reader))[0] == 400
        assert await reader.read() == b""
