"""Runs a pipeline in a process whose memory is measured."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from support.projects import Project


async def measured(made: Project, environ: Mapping[str, str] | None = None) -> tuple[str, float]:
    """Run the pipeline in a process of its own, and return what it printed, and its peak in MB."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = ["-m", "support.measured_loom", "peak", "run", "pipeline.yaml", "--format", "json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=made.folder,
        env={**os.environ, **(environ or {}), "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode(), float(made.path("peak").read_text())
