"""Offers Loom to Python code: `result = await Loom().run_pipeline(Loom().load_pipeline("x.yaml"))`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from loom.plugins import refuse_registered
from loom.project.config import LoomConfig
from loom.project.definition_file import gather_files, load
from loom.session import open_session, settled_report
from loom.views import open_views
from loom_common.contracts.v1 import RunFinished, RunReport, RunRequest
from loom_common.domain.definition import pipeline as domain
from loom_common.domain.definition.fail_on import passed
from loom_common.errors import PermanentError
from loom_quarantine.queries import RecordFilter


class Pipeline(domain.Pipeline):
    """Represents a pipeline, loaded from a file or built in Python. Relative paths start at the file's folder, else
    here."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        """Return the folder where relative paths of the pipeline start."""
        return self._folder

    def definition(self) -> dict[str, Any]:
        """Return the pipeline as its file would say it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Says what a run came to. `report` has everything `loom run --format json` prints."""

    report: RunReport

    @property
    def run_id(self) -> str:
        """Return the run's id, for `loom status`, `loom resume` and `loom quarantine retry`."""
        return self.report.run_id

    @property
    def status(self) -> str:
        """Return the status: `succeeded`, `partial`, `failed` or `cancelled`."""
        return self.report.status

    @property
    def records_processed(self) -> int:
        """Records extracted."""
        return self.report.records["extracted"]

    @property
    def records_validated(self) -> int:
        """Return the number of records that passed their gate."""
        return self.report.records["passed"]

    @property
    def beyond_limits(self) -> list[str]:
        """Return the limits of the pipeline's `fail_on` that the run is beyond, each in words."""
        return passed(self.report.fail_on, self.report.records)

    @property
    def cost_total(self) -> float:
        """Return the cost in USD."""
        return self.report.cost["total"]


class Loom:
    """Represents a project with its configuration, its pipelines and its runs. Holds no connection between calls."""

    def __init__(self, config_path: str | Path | None = None) -> None:
        self._config = LoomConfig.load(Path(config_path) if config_path else None)

    def load_pipeline(self, path: str | Path) -> Pipeline:
        """Read a pipeline file. Raises `InvalidDefinition` with every mistake, placed by line and column."""
        loaded = load(Path(path), self._config.applied_to)
        pipeline = Pipeline.model_validate(loaded.definition)
        pipeline._folder = loaded.path.parent.resolve()
        return pipeline

    async def run_pipeline(
        self,
        pipeline: Pipeline,
        params: Mapping[str, Any] | None = None,
        *,
        sample: int | None = None,
        load: bool = False,
        reuse: bool = True,
        cluster: bool = False,
        wait: bool = False,
    ) -> RunResult:
        """Run it to its end, embedded unless `cluster`. A `sample` of so many records goes beside the destination
        unless `load`. With `wait` an embedded run waits for a model, a source or a destination that was never there,
        instead of failing. Raises `ConfigurationError` where it cannot start."""
        request = RunRequest(
            definition=pipeline.definition(),
            files=gather_files(pipeline, pipeline.folder),
            base=self._config.base_of(pipeline.folder),
            params=dict(params or {}),
            sample=sample,
            load=load,
            reuse=reuse,
        )
        config = self._config.for_cluster() if cluster else self._config
        if config.distributed:
            refuse_registered(pipeline)
        finished, notice = None, None
        async with open_session(config, cluster=config.distributed, wait=wait) as session:
            accepted = await session.start(request)
            async for event in session.follow(accepted.run_id):
                if isinstance(event, RunFinished):
                    finished = event
                else:
                    notice = event.notice if event.reason else None
        if finished is not None:
            return RunResult(await settled_report(config, finished.report))
        if notice:
            raise PermanentError(notice)
        raise PermanentError(f"Run {accepted.run_id} was paused from outside: loom resume {accepted.run_id}.")

    async def get_status(self, run_id: str) -> dict[str, Any] | None:
        """Return what `loom status RUN --format json` prints; None where there is no such run."""
        async with open_views(self._config) as views:
            run = await views.run(run_id)
        return None if run is None else run.as_json()

    async def get_lineage(self, pipeline_name: str, run_id: str | None = None) -> list[dict[str, Any]]:
        """Return what `loom lineage --format json` prints."""
        async with open_views(self._config) as views:
            return [each.as_json() for each in await views.lineage(pipeline_name, run_id)]

    async def get_costs(self, pipeline_name: str, by: str = "day") -> list[dict[str, Any]]:
        """Return what the pipeline's runs cost by `day`, `week` or `month`: the spans of `loom cost --format json`."""
        async with open_views(self._config) as views:
            return [each.as_json() for each in await views.costs(pipeline_name, by)]

    async def get_quarantined_records(
        self, pipeline_name: str | None = None, run_id: str | None = None, limit: int = 50, **more: Any
    ) -> list[dict[str, Any]]:
        """Return what `loom quarantine list --format json` prints. `more` are the other fields of `RecordFilter`:
        `stage`, `reason`, `evaluator`, `min_score`, `max_score`, `unresolved`, `record_ids`."""
        async with open_views(self._config) as views:
            found = await views.quarantined(RecordFilter(pipeline_name, run_id, **more), limit)
        return [each.as_json() for each in found]
