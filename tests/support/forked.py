"""Asks the server of commands for processes: one server for each process of the tests, started when first asked."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path

from support import command_server

_START_SECONDS = 120.0


class Forked:
    """Represents a process that is a fork of the server, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int, ended: Future[int]) -> None:
        self.pid = pid
        self.ended = ended

    @property
    def returncode(self) -> int | None:
        """Return the exit code, negative for the signal that ended it; None while it runs."""
        return self.ended.result() if self.ended.done() else None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and return its exit code. Raises `subprocess.TimeoutExpired`."""
        try:
            return self.ended.result(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0) from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedCommand(Forked):
    """Represents a fork that writes to pipes, with the methods of `asyncio.subprocess.Process`."""

    def __init__(self, forked: Forked, out: int, err: int) -> None:
        super().__init__(forked.pid, forked.ended)
        self._outputs = out, err
        self.err = bytearray()
        """Holds what it has written on stderr so far, while somebody waits for its end."""

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return what it writes, when it has ended."""
        out, err = self._outputs
        written = bytearray()
        await asyncio.gather(_read_all(out, written), _read_all(err, self.err))
        await asyncio.wrap_future(self.ended)
        return bytes(written), bytes(self.err)


async def _read_all(descriptor: int, written: bytearray) -> None:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while part := await reader.read(65_536):
            written += part
    finally:
        transport.close()


async def fork_command(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> ForkedCommand:
    """Start `loom` with these arguments."""
    return await asyncio.to_thread(_fork_command, folder, arguments, environ)


def _fork_command(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> ForkedCommand:
    (out, out_of_it), (err, err_of_it) = os.pipe(), os.pipe()
    try:
        return ForkedCommand(fork("loom", arguments, folder, environ, (out_of_it, err_of_it)), out, err)
    finally:
        os.close(out_of_it)
        os.close(err_of_it)


def fork(
    package: str, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], outputs: tuple[int, int]
) -> Forked:
    """Start a package in a folder, as `python -m` does. `outputs` are the descriptors of its stdout and its stderr."""
    request = {"package": package, "folder": str(folder), "arguments": list(arguments), "environ": dict(environ)}
    return _server().start(json.dumps(request).encode(), outputs)


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
        self._started: queue.SimpleQueue[Forked] = queue.SimpleQueue()
        self._running: dict[int, Future[int]] = {}
        self._reading = threading.Thread(target=self._read, daemon=True, name="commands")
        self._reading.start()
        atexit.register(self.close)

    def start(self, request: bytes, descriptors: Sequence[int]) -> Forked:
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
                self._started.put(Forked(told["started"], self._running[told["started"]]))
            else:
                self._running.pop(told["ended"]).set_result(told["code"])


@cache
def _server() -> _Server:
    return _Server()
