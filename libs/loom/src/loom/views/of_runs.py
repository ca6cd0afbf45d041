"""Shows runs: their rows, their reports and their history."""

from __future__ import annotations

from loom.project.run_state import no_run
from loom.views.state import StateViews
from loom_common.contracts.v1 import RunAccepted, RunReport
from loom_common.errors import ConfigurationError, NotFound
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.queries import runs
from loom_coordinator.queries.run_filter import INTERRUPTED
from loom_coordinator.queries.runs import RunSummary, RunWithParams, ShownRun

_MOST_UNFINISHED = 50
"""The newest runs of a pipeline among which unfinished ones are looked for."""


class RunViews(StateViews):
    """Reads what is shown of runs from the run state."""

    async def row(self, run_id: str) -> Run | None:
        """Return the run as its row holds it; None where there is no such run."""
        return await run_rows.find_alone(self._engine, run_id)

    async def run(self, run_id: str) -> ShownRun | None:
        """Return a run's report, with when it ran, with what, and what holds it up; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await runs.shown(connection, run_id, self._alive)

    async def status(self, run_id: str) -> str | None:
        """Return a run's status as people are shown it; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await runs.status(connection, run_id, self._alive)

    async def report(self, run_id: str) -> RunReport | None:
        """Return a run's report as far as it has come; None where there is no such run."""
        async with self._engine.connect() as connection:
            return await runs.report(connection, run_id)

    async def history(self, pipeline: str | None, limit: int, among: frozenset[str] | None = None) -> list[RunSummary]:
        """Return the runs of a pipeline, of those `among` which it is looked, or of all, the newest first."""
        async with self._engine.connect() as connection:
            return await runs.history(connection, pipeline, limit, self._alive, among)

    async def at_work(self, owner: str) -> list[str]:
        """Return the ids of the runs that an embedded engine is at work on."""
        async with self._engine.connect() as connection:
            return await runs.at_work(connection, owner)

    async def manifest(self, pipeline: str | None, status: str | None, limit: int | None) -> list[ShownRun]:
        """Return all that is known of each run: of a pipeline or of all, of a status or of any, the newest first."""
        async with self._engine.connect() as connection:
            return await runs.manifest(connection, pipeline, status, limit, self._alive)

    async def number_of_runs(self, pipeline: str | None, among: frozenset[str] | None = None) -> int:
        """Return how many runs a pipeline had, those `among` which it is looked, or all together."""
        async with self._engine.connect() as connection:
            return await runs.number_of_runs(connection, pipeline, among)

    async def unfinished(self, pipeline: str, target: str | None = None) -> list[RunSummary]:
        """Return the runs of the pipeline for that target which were interrupted or paused: `loom resume` finishes
        them."""
        newest = await self.history(pipeline, _MOST_UNFINISHED)
        left = (INTERRUPTED, run_rows.PAUSED)
        return [run for run in newest if run.status in left and run.target == target]

    async def with_params(self, pipeline: str) -> list[RunWithParams]:
        """Return the runs of a pipeline for the project's target with their parameters, the newest first, without
        samples and replays."""
        async with self._engine.connect() as connection:
            return await runs.with_params(connection, pipeline, self._config.target, self._alive)

    async def incarnation(self) -> str:
        """Return a text that is another one for run state that was made anew in the place of this one."""
        async with self._engine.connect() as connection:
            return await runs.incarnation(connection)

    def no_run(self, run_id: str) -> NotFound:
        """Return the error for a run that is not known here."""
        return no_run(self._config, run_id)

    async def known(self, run_id: str, pipeline: str | None = None) -> Run:
        """Return the run as its row holds it. Raises `NotFound` where it is not known here, and `ConfigurationError`
        where it is not one of the pipeline named."""
        run = await self.row(run_id)
        if run is None:
            raise self.no_run(run_id)
        if pipeline not in (None, run.pipeline_name):
            raise ConfigurationError(
                f"Run {run_id} is one of '{run.pipeline_name}', not of '{pipeline}'. `loom history {pipeline}` lists "
                "the runs of that one."
            )
        return run

    async def want(self, run_id: str, verb: str) -> RunAccepted:
        """Leave a command in the run's row for the process that runs it, which carries it out within a second. Raises
        `ConfigurationError` where there is no such run."""
        async with self._engine.begin() as connection:
            await run_rows.want(connection, run_id, verb)
        run = await self.row(run_id)
        if run is None:
            raise run_rows.unknown(run_id)
        return RunAccepted(run_id=run_id, pipeline=run.pipeline_name, status=f"{verb} requested")
