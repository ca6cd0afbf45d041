"""Lets Python code check a pipeline before a run, and change runs that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom.project.config import LoomConfig
from loom.project.definition_file import built, load
from loom.sdk.following import report_of
from loom.sdk.listed import Listed
from loom.sdk.spawned import SpawnedRuns
from loom.session import open_session
from loom.views import open_views
from loom_common.contracts.v1 import RunAccepted, RunReport
from loom_common.domain.run.replaying import Changes
from loom_common.errors import ConfigurationError

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate
    from loom.project.definition_file import LoadedPipeline
    from loom.requests.validation import Validation
    from loom.sdk.pipeline import Pipeline
    from loom_coordinator.queries.runs import RunSummary


class RunControl:
    """Holds these methods of `Loom`."""

    _config: LoomConfig

    async def validate(self, pipeline: Pipeline | str | Path, *, connect: bool = False) -> Validation:
        """Check a pipeline, or its file, and what it needs, as `loom validate` does: `valid`, `problems`, `checks`.
        Mistakes are told, not raised. Nothing is run, and no model is asked. `connect`: also try whether the models
        answer, and how the columns fit."""
        from loom.requests import validation

        def read() -> LoadedPipeline:
            if isinstance(pipeline, str | Path):
                return load(Path(pipeline), self._config.applied_to, self._config.allowed)
            return self._loaded(pipeline)

        path = Path(pipeline) if isinstance(pipeline, str | Path) else pipeline._path
        return await validation.validate(read, path, self._config, connect=connect)

    async def estimate(
        self, pipeline: Pipeline | str | Path, params: Mapping[str, Any] | None = None, *, sample: int = 100
    ) -> Estimate:
        """Estimate what a run would cost, by its first `sample` records, as `loom cost --estimate` does: `cost` in USD,
        `records`, `calls`. No model is asked. Raises `ConfigurationError`, and what reading the source raises."""
        from loom.requests.estimates import estimated

        return await estimated(self._loaded(self._meant(pipeline)), self._config, sample, dict(params or {}))

    async def history(self, pipeline_name: str | None = None, limit: int = 20) -> Listed[RunSummary]:
        """Return the newest runs of a pipeline, or of all, as `loom history` does."""
        async with open_views(self._config) as views:
            return Listed(await views.history(pipeline_name, limit))

    async def resume(self, run_id: str, *, budget: float | None = None, cluster: bool = False) -> RunReport:
        """Go on with a run that was interrupted, paused, cancelled or failed, and return its report at its end. It may
        cost `budget` USD in all. What an embedded run spawns runs after it, also where the run itself has succeeded
        before. Raises `NotFound`, `ConfigurationError` where another process is at work on it, and `PermanentError`
        where it is paused again."""
        config = await self._knowing(run_id, cluster=cluster)
        if config.distributed:
            return await report_of(config, lambda session: session.resume(run_id, budget), wait=False)
        async with open_views(config) as views:
            run = await views.known(run_id)
            ended = await views.report(run_id) if run.status == "succeeded" and run.spawns else None
        spawned = SpawnedRuns(config, run.pipeline_name, run.spawns, wait=False)
        report = ended or await report_of(config, lambda session: session.resume(run_id, budget), wait=False)
        await spawned.after(report)
        return report

    async def pause(self, run_id: str, *, cluster: bool = False) -> str:
        """Pause a run, wherever it runs, and return its status. Nothing is lost: `resume` goes on. Raises `NotFound`,
        and `ConfigurationError` for a run that has ended."""
        config = await self._knowing(run_id, cluster=cluster)
        async with open_session(config) as session:
            return (await session.pause(run_id)).status

    async def cancel(self, run_id: str, *, cluster: bool = False) -> str:
        """End a run, wherever it runs, and return its status. What is loaded stays. Raises as `pause` does."""
        config = await self._knowing(run_id, cluster=cluster)
        async with open_session(config) as session:
            return (await session.cancel(run_id)).status

    async def retry(
        self,
        run_id: str,
        record_ids: Sequence[str] | None = None,
        *,
        edits: Mapping[str, Any] | None = None,
        cluster: bool = False,
    ) -> RunReport:
        """Run a run's quarantined records again, all that wait or these, and return the report of that replay. `edits`
        are other values for fields of every record. Raises `NotFound`, and `ConfigurationError` where no record waits
        or the edits do not fit."""
        from loom.requests.replays import sealed_changes
        from loom_quarantine.queries import RecordFilter

        config = await self._knowing(run_id, cluster=cluster)
        ids = None if record_ids is None else tuple(record_ids)
        changes = Changes(edits=dict(edits)) if edits else None
        async with open_views(config) as views:
            standing = await views.replayable(RecordFilter(run_id=run_id, record_ids=ids))
            if not standing.waiting:
                raise ConfigurationError(
                    f"Run {run_id} has no quarantined record that waits, of those that are meant. "
                    f"`get_quarantined_records(run_id='{run_id}')` lists what it kept back."
                )
            sent = await sealed_changes(config, views, run_id, changes)

        async def ask(session: Any) -> RunAccepted:
            accepted: RunAccepted = await session.replay(run_id, ids, sent)
            return accepted

        return await report_of(config, ask, wait=False)

    def load_pipeline(self, path: str | Path) -> Pipeline:
        """Read a pipeline file, or the pipeline that has this name in the project. Raises `InvalidDefinition` with
        every mistake, placed by line and column, and `NotFound` for a name that none has."""
        from loom.project import catalog
        from loom.sdk.pipeline import Pipeline

        loaded = catalog.find_file(str(path), self._config)
        pipeline = Pipeline.model_validate(loaded.definition)
        pipeline._path, pipeline._of_file = loaded.path.resolve(), True
        return pipeline

    def _meant(self, pipeline: Pipeline | str | Path) -> Pipeline:
        """Return a pipeline, read from its file where this is the file's path."""
        return self.load_pipeline(pipeline) if isinstance(pipeline, str | Path) else pipeline

    async def _knowing(self, run_id: str, *, cluster: bool) -> LoomConfig:
        """Return the configuration for a run. Raises `NotFound` where an embedded one is not known here; of a
        cluster's, its coordinator says so."""
        config = self._config.for_cluster() if cluster else self._config
        if not config.distributed:
            async with open_views(config) as views:
                await views.known(run_id)
        return config

    def _loaded(self, pipeline: Pipeline) -> LoadedPipeline:
        """Return a pipeline with the files that it names, from its file where it has one that says the same."""
        if pipeline._of_file and pipeline._path.exists():
            loaded = load(pipeline._path, self._config.applied_to, self._config.allowed)
            if loaded.definition == pipeline.definition():
                return loaded
        return built(pipeline.definition(), pipeline._path, self._config.allowed)
