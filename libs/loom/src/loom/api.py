"""Offers Loom to Python code: `result = await Loom().run_pipeline(Loom().load_pipeline("x.yaml"))`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom.frames.collecting import collecting
from loom.frames.given import Records, records_of
from loom.plugins import refuse_registered
from loom.project.config import LoomConfig
from loom.project.definition_file import built, load
from loom.project.person import person
from loom.requests.checked import checked
from loom.requests.lineage_parent import lineage_parent_of
from loom.sdk.attaching import attached, report_once
from loom.sdk.callables import for_workers
from loom.sdk.listed import Lineage, Listed, QuarantinedRecord
from loom.sdk.pipeline import Pipeline
from loom.sdk.run_control import RunControl
from loom.sdk.run_result import RunResult
from loom.sdk.spawned import SpawnedRuns
from loom.stored_records import stored
from loom.views import open_views
from loom_common.contracts.v1 import RunRequest
from loom_common.errors import ConfigurationError, NotFound
from loom_quarantine.queries import RecordFilter

if TYPE_CHECKING:
    from loom.comparing.diff import Diff
    from loom.rescoring.report import Rescored
    from loom.streaming.stream import Handler, RecordStream
    from loom.streaming.windows import WindowStream
    from loom_coordinator.queries.pipeline_figures import PipelineFigures


class Loom(RunControl):
    """Represents a project with its configuration, its pipelines and its runs. Holds no connection between calls."""

    def __init__(
        self,
        config_path: str | Path | None = None,
        *,
        target: str | None = None,
        allow_paths: Iterable[str | Path] = (),
    ) -> None:
        """Take `target`, the target of `loom.yaml` that pipelines run for, as `--target` does, and `allow_paths`,
        folders and files outside of the project that pipelines may reach."""
        config = LoomConfig.load(Path(config_path) if config_path else None, target=target)
        self._config = config.allowing(Path(path) for path in allow_paths)

    @classmethod
    def of(cls, config: LoomConfig) -> Loom:
        """Return the project whose configuration has been read."""
        made = cls.__new__(cls)
        made._config = config
        return made

    async def run_pipeline(
        self,
        pipeline: Pipeline | str | Path,
        params: Mapping[str, Any] | None = None,
        *,
        records: Records | None = None,
        collect: bool = False,
        sample: int | None = None,
        load: bool = False,
        reuse: bool = True,
        budget: float | None = None,
        cluster: bool = False,
        wait: bool = False,
        idempotency_key: str | None = None,
        lineage_parent: Mapping[str, str | None] | None = None,
    ) -> RunResult:
        """Run a pipeline, or its file, to its end, embedded unless `cluster`. A `sample` of so many records goes beside
        the destination unless `load`. `records` are read in place of the pipeline's source: dicts, from a list or an
        iterator of either kind, or a pandas, polars or Arrow object. With `collect` the rows go into the project's
        state, in place of the pipeline's destination, also those of a cluster, and the result gives them. The run may
        cost `budget` USD, and no more than the pipeline says. With `wait` an embedded run waits for a model, a source
        or a destination that was never there, instead of failing. An embedded run that succeeds is followed by what it
        spawns, of which `spawned` of the result tells; a trial and a run that collects spawn nothing.

        The same `idempotency_key` twice is one run, whose id follows from the key: one that has ended is reported, one
        that goes on in another process is waited for, and one that was interrupted, paused, cancelled or failed is
        gone on with. Events of OpenLineage name `lineage_parent` as the run's parent: the `run` of another tool, as
        `NAMESPACE/JOB/UUID`, and the `root` that it belongs to. Without it, `OPENLINEAGE_PARENT_ID` and
        `OPENLINEAGE_ROOT_PARENT_ID` name them. Raises `ConfigurationError` where the run cannot start."""
        config = self._config.for_cluster() if cluster else self._config
        pipeline = self._meant(pipeline)
        spawn = [] if collect or (sample is not None and not load) else pipeline.spawn
        spawned = SpawnedRuns(config, pipeline.name, spawn, wait=wait)
        if idempotency_key is not None:
            if collect:
                raise ConfigurationError(
                    "`collect` hands over the rows of a run once, so it does not go with an `idempotency_key`, by "
                    "which a run may be one that has ended. Read the rows in the pipeline's destination."
                )
            if (known := await attached(config, idempotency_key, pipeline.name)) is not None:
                return RunResult(known, spawned=await spawned.after(known))
        definition = for_workers(pipeline.definition()) if config.distributed else pipeline.definition()
        place = collecting(config) if collect else None
        loaded = built(definition, pipeline._path, config.allowed)
        request = RunRequest(
            definition=definition,
            files=loaded.files,
            base=self._config.base_of(pipeline.folder),
            params=dict(params or {}),
            sample=sample,
            load=load or collect,
            rows=None if place is None else place.owner,
            reuse=reuse,
            budget=budget,
            idempotency_key=idempotency_key,
            requested_by=person(),
            lineage_parent=lineage_parent_of(lineage_parent),
        )
        if config.distributed:
            refuse_registered(pipeline)
        if records is None:
            request = await checked(config, request, loaded, wait=wait)
            report = await report_once(config, request, pipeline.name, wait=wait)
            rows = None if place is None else await place.gathered(loaded.pipeline, report)
            return RunResult(report, rows, await spawned.after(report))
        async with stored(config, records_of(records), loaded.pipeline) as (name, remove):
            request = request.model_copy(update={"records": name})
            try:
                request = await checked(config, request, loaded, wait=wait)
            except ConfigurationError:
                await remove()
                raise
            report = await report_once(config, request, pipeline.name, wait=wait, refused=remove)
            if report.records["loaded"] == report.records["extracted"]:
                await remove()  # nobody can ask for them again
        rows = None if place is None else await place.gathered(loaded.pipeline, report)
        return RunResult(report, rows, await spawned.after(report))

    def stream_pipeline(
        self,
        pipeline: Pipeline | str | Path,
        params: Mapping[str, Any] | None = None,
        *,
        input_records: Records | None = None,
        handler: Handler | None = None,
        max_concurrent: int = 50,
        reuse: bool = True,
        wait: bool = False,
    ) -> RecordStream:
        """Run a pipeline, or its file, embedded, and yield each record once it is settled: `async for record in
        loom.stream_pipeline(...)`, with `id`, `status`, `output`, `evaluation_score` and `failure_reason`. The records
        go to this code in place of the destination, which nothing is written to.

        `input_records` are read in place of the source. With a `handler`, a function or coroutine function of a
        record, `await` calls it for each and returns the run's report. At most `max_concurrent` records wait to be
        taken, or are with the handler at the same time; then the run waits. Leaving the loop cancels the run. Raises
        `ConfigurationError` where it cannot start, and for a project whose runs are a cluster's."""
        from loom.streaming.stream import Asked, RecordStream

        if self._config.distributed:
            raise ConfigurationError(
                "A stream hands over the records of a run in this process, and this project's runs are a cluster's. "
                "Stream in a project with `mode: embedded`, or collect the rows: "
                "`run_pipeline(..., cluster=True, collect=True)`."
            )
        if max_concurrent < 1:
            raise ConfigurationError(f"`max_concurrent` is {max_concurrent}; give 1 or more.")
        asked = Asked(
            self._config, self._meant(pipeline), dict(params or {}), input_records, reuse, wait, max_concurrent
        )
        return RecordStream(asked, handler)

    def open_stream(
        self,
        pipeline: Pipeline | str | Path,
        params: Mapping[str, Any] | None = None,
        *,
        canary: float | None = None,
        begin_at: str | None = None,
        again: bool = False,
        budget: float | None = None,
        reuse: bool = True,
        cluster: bool = False,
        wait: bool = False,
    ) -> WindowStream:
        """Open the stream of a pipeline with `mode: streaming`, or go on with it: `async with loom.open_stream(...) as
        stream`, and in the block `async for window in stream` yields the report of each window as it ends. `stream` has
        `drain`, `pause`, `cancel`, `promote` and `rollback`. At the end of the block an embedded stream is paused; a
        cluster works on.

        With `begin_at`, the next window begins at that place of the source, as with `loom run --from`; with `again`,
        what was taken before is taken again there. With `canary`, a share such as 0.1, this version of the pipeline has
        that share of the records on trial. Each window may cost `budget` USD. Entering the block raises
        `ConfigurationError` where the stream cannot be opened, or cannot begin there, and the loop `PermanentError`
        where a window has stopped it."""
        from loom.streaming.windows import AskedStream, WindowStream

        config = self._config.for_cluster() if cluster else self._config
        return WindowStream(
            AskedStream(config, self._meant(pipeline), dict(params or {}), budget, canary, begin_at, again, reuse, wait)
        )

    async def evaluate(
        self,
        run_id: str,
        with_file: str | Path | None = None,
        *,
        thresholds: Mapping[str, float] | None = None,
        evaluators: Sequence[str] = (),
        budget: float | None = None,
        apply: bool = False,
        cluster: bool = False,
    ) -> Rescored:
        """Judge the outputs of a run again: by the `evaluate` section of another file, other thresholds, or these
        evaluators alone. New judgements may cost `budget` USD. With `apply`, what passes now is loaded, and what no
        longer does is withdrawn. Returns what `loom evaluate --format json` prints, with
        `verdicts`, `changed`, `cost` and more. Raises `NotFound`, and `ConfigurationError` where it cannot be judged
        so."""
        from loom.rescoring.apply import apply as score_and_apply
        from loom.rescoring.evaluate import evaluate
        from loom.rescoring.request import Asked

        config = self._config.for_cluster() if cluster else self._config
        loaded = None if with_file is None else load(Path(with_file), config.applied_to, config.allowed)
        asked = Asked(loaded, dict(thresholds or {}), evaluators)
        return await (score_and_apply if apply else evaluate)(config, run_id, asked, budget=budget)

    async def diff(self, before: str, after: str, *, limit: int = 50, cluster: bool = False) -> Diff:
        """Compare two runs on the records that both have: what `loom diff --format json` prints, with `outputs`,
        `verdicts` and `evaluators`. At most `limit` records of each kind of difference are named. Raises `NotFound`,
        and `ConfigurationError` for runs that cannot be compared."""
        from loom.comparing.diff import diff

        return await diff(self._config.for_cluster() if cluster else self._config, before, after, limit=limit)

    async def get_status(self, run_id: str) -> dict[str, Any] | None:
        """Return what `loom status RUN --format json` prints; None where there is no such run."""
        async with open_views(self._config) as views:
            run = await views.run(run_id)
        return None if run is None else run.as_json()

    async def get_metrics(self, pipeline_name: str, run_id: str | None = None, last: int = 100) -> PipelineFigures:
        """Return what `loom metrics` shows of the pipeline's newest runs, or of one run: `total_cost`,
        `avg_latency_ms`, `avg_evaluation_score` and more. Raises `NotFound` where there is no such run."""
        async with open_views(self._config) as views:
            if run_id is not None:
                await views.known(run_id, pipeline_name)
            figures = await views.metrics(pipeline_name, run_id, last)
        if figures is None:
            raise NotFound(f"No run of '{pipeline_name}' is known here.")
        return figures

    async def get_lineage(self, pipeline_name: str, run_id: str | None = None) -> Lineage:
        """Return what `loom lineage --format json` prints; `nodes` are the stages of the newest of these runs."""
        async with open_views(self._config) as views:
            return Lineage(each.as_json() for each in await views.lineage(pipeline_name, run_id))

    async def get_costs(self, pipeline_name: str, by: str = "day") -> list[dict[str, Any]]:
        """Return what the pipeline's runs cost by `day`, `week` or `month`: the spans of `loom cost --format json`."""
        async with open_views(self._config) as views:
            return [each.as_json() for each in await views.costs(pipeline_name, by)]

    async def get_quarantined_records(
        self, /, pipeline_name: str | None = None, run_id: str | None = None, limit: int = 50, **more: Any
    ) -> Listed[QuarantinedRecord]:
        """Return what `loom quarantine list --format json` prints. `more` are the other fields of `RecordFilter`:
        `stage`, `reason`, `evaluator`, `min_score`, `max_score`, `unresolved`, `record_ids`."""
        async with open_views(self._config) as views:
            found = await views.quarantined(RecordFilter(pipeline_name, run_id, **more), limit)
        return Listed(QuarantinedRecord(each.as_json()) for each in found)
