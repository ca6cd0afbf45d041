"""Keeps what somebody asks within what they may see."""

from __future__ import annotations

import copy
from typing import Self

from loom.project.config import LoomConfig
from loom.project.person import person
from loom.project.run_state import no_run
from loom.views import Views
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.access import Action, Kind, Viewer
from loom_common.errors import NotFound
from loom_common.ports.bus import Bus
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.queries import (
    pipelines,
)
from loom_coordinator.queries.runs import ShownRun


class SeenReads(Views):
    """Asks run state for somebody, of whom policies say what they may see."""

    def __init__(self, engine: AsyncEngine, config: LoomConfig, bus: Bus | None) -> None:
        super().__init__(engine, config)
        self._bus = bus
        self._viewer = Viewer(person())

    def of(self, viewer: Viewer) -> Self:
        """Return what answers somebody: only of what they may see."""
        seen = copy.copy(self)
        seen._viewer = viewer
        return seen

    @property
    def viewer(self) -> Viewer:
        """Return who is answered."""
        return self._viewer

    async def visible(self, kind: Kind, action: Action = Action.READ) -> frozenset[str] | None:
        """Return the pipelines that have run of which the viewer may do something to what they have of a kind; None
        where access is not controlled."""
        if self._viewer.unlimited:
            return None
        async with self._engine.connect() as connection:
            return self._viewer.among(await pipelines.names(connection), kind, action)

    async def row(self, run_id: str) -> Run | None:
        """Return the run as its row holds it; None where there is no such run, or none that the viewer may see."""
        run = await super().row(run_id)
        return run if run is not None and self._sees(run.pipeline_name) else None

    async def seen(self, connection: AsyncConnection, run_id: str) -> Run:
        """Return the run as `connection` sees it now. Raises `NotFound` where there is no such run, or none that the
        viewer may see."""
        run = await run_rows.find(connection, run_id)
        if run is None or not self._sees(run.pipeline_name):
            raise self.no_run(run_id)
        return run

    def _sees(self, pipeline: str) -> bool:
        return self._viewer.may(Kind.RUNS, Action.READ, pipeline)

    def no_run(self, run_id: str) -> NotFound:
        """Return the error for a run that is not there for the viewer, without the place of run state."""
        return no_run(self._config, run_id, told_place=False)

    async def run(self, run_id: str) -> ShownRun | None:
        """Return a run's report; None where there is no such run, or none that the viewer may see."""
        shown = await super().run(run_id)
        return shown if shown is not None and self._sees(shown.report.pipeline) else None
