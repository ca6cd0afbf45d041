"""Runs `loom-coordinator ...` as its operators type it: a process of its own, told of the cluster by its
environment."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping

from loom_dev.waiting import within
from support.cluster import Cluster
from support.command import PATIENCE, Ended


async def begin(cluster: Cluster, *arguments: str, environ: Mapping[str, str] | None = None) -> Process:
    """Start a command."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LOOM_", "COLUMNS"))}
    addresses = {
        "LOOM_BUS_URL": cluster.bus_url,
        "LOOM_STATE_URL": cluster.state_url,
        "LOOM_PAYLOADS_URL": cluster.state_url,
        "LOOM_JOURNAL_URL": cluster.state_url,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loom_coordinator",
        *arguments,
        cwd=cluster.project,
        env={**clean, **cluster.credentials, **addresses, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )


async def admin(cluster: Cluster, *arguments: str, environ: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end."""
    process = await begin(cluster, *arguments, environ=environ)
    async with within(PATIENCE):
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()  # what goes on for too long does not go on into the next test
            await process.communicate()
            raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
