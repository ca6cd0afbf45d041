"""Lists the pipelines of a project: those in its folders, and those that have run here."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loom.project import catalog
from loom.project.config import LoomConfig
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.queries.pipelines import PipelineSummary


@dataclass(frozen=True, slots=True)
class ListedPipeline(Shown):
    """Describes a pipeline on a line, with its newest run."""

    name: str
    version: str
    description: str | None
    file: str | None
    """The path of its file; None for one that has run here and whose file is not in the project."""
    last_run: str | None
    """The id of its newest run; None for one that has not run."""
    last_status: str | None
    last_started_at: dt.datetime | None


def pipelines(
    config: LoomConfig, registered: Iterable[PipelineSummary], start: Path | None = None
) -> list[ListedPipeline]:
    """Join files and registered pipelines by name. Paths are relative to `start`, else to the working directory."""
    known = {each.name: each for each in registered}
    in_files = [
        _line(entry.name, entry.version, entry.description, os.path.relpath(entry.path, start), known.get(entry.name))
        for entry in catalog.entries(config)
    ]
    named = {each.name for each in in_files}
    rest = [_line(each.name, each.version, each.description, None, each) for each in known.values()]
    return in_files + [each for each in rest if each.name not in named]


def _line(
    name: str, version: str, description: str | None, file: str | None, run: PipelineSummary | None
) -> ListedPipeline:
    return ListedPipeline(
        name=name,
        version=version,
        description=description,
        file=file,
        last_run=run.last_run if run else None,
        last_status=run.last_status if run else None,
        last_started_at=run.last_started_at if run else None,
    )
