"""Kills a run in the middle of its calls, and finishes it."""

from __future__ import annotations

from typing import Any

from support.command import Command, loom, runs
from support.projects import Project
from support.simulated_model import SimulatedModel


async def killed_and_resumed(made: Project, model: SimulatedModel, after: int) -> dict[str, Any]:
    """Run a pipeline, kill it while more than so many calls are answered or wait, and resume it. Return its report."""
    model.hold_after(after)
    command = await Command.begin(made.folder, "run", "pipeline.yaml")
    await command.reach(lambda: model.calls > after)
    await command.kill()
    model.let_go()
    return (await loom(made.folder, "resume", runs(made.folder)[0], "--format", "json")).report
