"""Runs `loom-coordinator ...` as its operators type it, told of the cluster by its environment: within this process, or
as a process of its own, which takes a second or two of processor time to start."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping
from unittest import mock

from loom_coordinator.admin import app
from loom_dev.waiting import within
from support.cluster import Cluster
from support.command import PATIENCE, Ended

_STREAMS = threading.Lock()
"""Is held by the command that the streams and the environment of this process belong to."""


def _environ(cluster: Cluster, more: Mapping[str, str] | None) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LOOM_", "COLUMNS"))}
    addresses = {
        "LOOM_BUS_URL": cluster.bus_url,
        "LOOM_STATE_URL": cluster.state_url,
        "LOOM_PAYLOADS_URL": cluster.state_url,
        "LOOM_JOURNAL_URL": cluster.state_url,
    }
    return {**clean, **cluster.credentials, **addresses, **(more or {})}


async def begin(cluster: Cluster, *arguments: str, environ: Mapping[str, str] | None = None) -> Process:
    """Start a command as a process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loom_coordinator",
        *arguments,
        cwd=cluster.project,
        env=_environ(cluster, environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )


async def admin(cluster: Cluster, *arguments: str, environ: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end, in a thread."""
    async with within(PATIENCE):
        return await asyncio.to_thread(_carried_out, arguments, cluster, environ)


def _carried_out(arguments: tuple[str, ...], cluster: Cluster, more: Mapping[str, str] | None) -> Ended:
    code = 0
    with _STREAMS, mock.patch.dict(os.environ, _environ(cluster, more), clear=True), _captured() as (out, err):
        with contextlib.chdir(cluster.project):
            try:
                app.main(arguments)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Ended(code, _text(out), _text(err))


@contextlib.contextmanager
def _captured() -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
