"""Reserves free ports, so that no two processes are given the same one."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from loom_dev.errors import BackendUnavailable

FIRST, LAST = 20_000, 32_000
"""Ports below the kernel's ephemeral range (32768 up), so that no outgoing connection takes one before it is used."""

_held: list[int] = []


def _lease(port: int) -> int | None:
    """Return a descriptor that locks the port for the life of this process; None where another process has locked
    it."""
    folder = Path(tempfile.gettempdir()) / f"loom-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_free(port: int) -> bool:
    """Say whether nothing listens on that loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def reserve_port() -> int:
    """Return a free loopback port for this process alone. Raises `BackendUnavailable`."""
    for port in random.sample(range(FIRST, LAST), k=min(500, LAST - FIRST)):
        descriptor = _lease(port)
        if descriptor is None:
            continue
        if is_free(port):
            _held.append(descriptor)
            return port
        os.close(descriptor)
    raise BackendUnavailable(f"No free port between {FIRST} and {LAST} on 127.0.0.1. End what holds them.")
