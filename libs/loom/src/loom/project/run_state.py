"""Says where a project's run state is kept, and that a run is not in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loom_common.domain.values.urls import redacted
from loom_common.errors import NotFound

if TYPE_CHECKING:
    from loom.project.config import LoomConfig


def place(config: LoomConfig) -> str:
    """Say where run state is kept, without credentials."""
    url = config.state_url
    if url.startswith("sqlite:///"):
        return f"the state file {Path(url.removeprefix('sqlite:///')).absolute()}"
    return f"the database {redacted(url)}"


def no_run(config: LoomConfig, run_id: str, *, told_place: bool = True) -> NotFound:
    """Return the error for a run that is not known: where it was looked for, and how to find the one that is meant.
    Whoever asks from elsewhere is not told the place, which is a path or an address of this machine."""
    if not told_place:
        return NotFound(f"There is no run {run_id} here. GET /api/v1/runs lists the runs.")
    flags = " --cluster" if config.distributed else ""
    elsewhere = "" if config.distributed else " The runs of a cluster are found with `--cluster`."
    return NotFound(f"There is no run {run_id} in {place(config)}. `loom history{flags}` lists the runs.{elsewhere}")
