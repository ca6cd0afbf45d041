"""Answers requests with as little as can be done: each body is a row of SQLite, committed by a transaction of its own
that waits for the disk, before the request is answered 202. `bench.given_records` compares Loom with it."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from typing import Any

import httptools
import uvloop

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Served(asyncio.Protocol):
    """Reads the requests of one connection, and answers each."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._parser = httptools.HttpRequestParser(self)
        self._body = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection, to write answers to it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Add a piece to the body of the request that is being read."""
        self._body += body

    def on_message_complete(self) -> None:
        """Commit the body, and answer."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("INSERT INTO inbox (body) VALUES (?)", (bytes(self._body),))
        self._db.execute("COMMIT")
        self._body.clear()
        self._transport.write(_ANSWER)


async def _serve(path: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")  # as in Loom's inbox: what is answered 202 survives a power cut
    db.execute("CREATE TABLE inbox (number INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    server = await asyncio.get_running_loop().create_server(lambda: Served(db), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
