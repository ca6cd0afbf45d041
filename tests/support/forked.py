"""Asks the server of commands for processes: one server for each process of the tests, started when first asked."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path

from support import command_server

_START_SECONDS = 120.0


class Forked:
    """Represents a command that a fork of the server carries out, as `asyncio.subprocess.Process` does one."""

    def __init__(self, pid: int, ended: Future[int], out: int, err: int) -> None:
        self.pid = pid
        self._ended = ended
        self._outputs = out, err

    @property
    def returncode(self) -> int | None:
        """Return the exit code, negative for the signal that ended it; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return what it writes, when it has ended."""
        out, err = await asyncio.gather(*map(_all_of, self._outputs))
        await asyncio.wrap_future(self._ended)
        return out, err


async def _all_of(descriptor: int) -> bytes:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        return await reader.read()
    finally:
        transport.close()


async def fork(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> Forked:
    """Start a command."""
    return await asyncio.to_thread(_fork, folder, arguments, environ)


def _fork(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> Forked:
    (out, out_of_it), (err, err_of_it) = os.pipe(), os.pipe()
    request = {"folder": str(folder), "arguments": list(arguments), "environ": dict(environ)}
    try:
        pid, ended = _server().start(json.dumps(request).encode(), (out_of_it, err_of_it))
    finally:
        os.close(out_of_it)
        os.close(err_of_it)
    return Forked(pid, ended, out, err)


class _Server:
    """Holds the connection to the server, and what a thread reads from it."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, command_server.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._asking = threading.Lock()
        self._started: queue.SimpleQueue[tuple[int, Future[int]]] = queue.SimpleQueue()
        self._running: dict[int, Future[int]] = {}
        self._reading = threading.Thread(target=self._read, daemon=True, name="commands")
        self._reading.start()
        atexit.register(self.close)

    def start(self, request: bytes, descriptors: Sequence[int]) -> tuple[int, Future[int]]:
        """Return the process, and what will be its exit code."""
        with self._asking:
            socket.send_fds(self._connection, [request], descriptors)
            return self._started.get(timeout=_START_SECONDS)

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._reading.join()
        self._connection.close()
        self._process.wait()

    def _read(self) -> None:
        while message := self._connection.recv(2**12):
            told = json.loads(message)
            if "started" in told:
                self._running[told["started"]] = Future()
                self._started.put((told["started"], self._running[told["started"]]))
            else:
                self._running.pop(told["ended"]).set_result(told["code"])


@cache
def _server() -> _Server:
    return _Server()
