"""Offers all that `Loom` does to code that is not asynchronous: each method waits for its end.

It works in a script and, where an event loop runs already, in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom.api import Loom
from loom.frames.given import Records
from loom.plain.waiting import each_of, wait_for
from loom.sdk.pipeline import Pipeline
from loom.sdk.run_result import RunResult
from loom.streaming.settled import Record
from loom_common.contracts.v1 import RunReport

if TYPE_CHECKING:
    from loom.comparing.diff import Diff
    from loom.preflight.estimate import Estimate
    from loom.requests.validation import Validation
    from loom.rescoring.report import Rescored
    from loom.sdk.listed import Lineage, QuarantinedRecord
    from loom_coordinator.queries.pipeline_figures import PipelineFigures
    from loom_coordinator.queries.runs import RunSummary


class SyncLoom:
    """Represents a project, as `Loom` does, for code that is not asynchronous. A pipeline may be given by the path of
    its file."""

    def __init__(self, config_path: str | Path | None = None, *, allow_paths: Iterable[str | Path] = ()) -> None:
        """Take the same as `Loom` does."""
        self._loom = Loom(config_path, allow_paths=allow_paths)

    def load_pipeline(self, path: str | Path) -> Pipeline:
        """Read a pipeline file. Raises `InvalidDefinition` with every mistake, placed by line and column."""
        return self._loom.load_pipeline(path)

    def run(
        self,
        pipeline: Pipeline | str | Path,
        params: Mapping[str, Any] | None = None,
        *,
        records: Records | None = None,
        collect: bool = False,
        sample: int | None = None,
        load: bool = False,
        reuse: bool = True,
        cluster: bool = False,
        wait: bool = False,
    ) -> RunResult:
        """Run a pipeline to its end, as `Loom.run_pipeline` does."""
        return wait_for(
            self._loom.run_pipeline(
                self._meant(pipeline),
                params,
                records=records,
                collect=collect,
                sample=sample,
                load=load,
                reuse=reuse,
                cluster=cluster,
                wait=wait,
            )
        )

    def stream(
        self,
        pipeline: Pipeline | str | Path,
        params: Mapping[str, Any] | None = None,
        *,
        input_records: Records | None = None,
        max_concurrent: int = 50,
        reuse: bool = True,
        wait: bool = False,
    ) -> Iterator[Record]:
        """Yield each record of a run once it is settled, as `Loom.stream_pipeline` does. Leaving the loop cancels the
        run."""
        stream = self._loom.stream_pipeline(
            self._meant(pipeline),
            params,
            input_records=input_records,
            max_concurrent=max_concurrent,
            reuse=reuse,
            wait=wait,
        )
        return each_of(aiter(stream))

    def validate(self, pipeline: Pipeline | str | Path, *, connect: bool = False) -> Validation:
        """Check a pipeline and what it needs, as `Loom.validate` does."""
        return wait_for(self._loom.validate(pipeline, connect=connect))

    def estimate(
        self, pipeline: Pipeline | str | Path, params: Mapping[str, Any] | None = None, *, sample: int = 100
    ) -> Estimate:
        """Estimate what a run would cost, as `Loom.estimate` does."""
        return wait_for(self._loom.estimate(self._meant(pipeline), params, sample=sample))

    def history(self, pipeline_name: str | None = None, limit: int = 20) -> list[RunSummary]:
        """Return the newest runs of a pipeline, or of all."""
        return wait_for(self._loom.history(pipeline_name, limit))

    def resume(self, run_id: str, *, budget: float | None = None, cluster: bool = False) -> RunReport:
        """Go on with a run, and return its report at its end, as `Loom.resume` does."""
        return wait_for(self._loom.resume(run_id, budget=budget, cluster=cluster))

    def pause(self, run_id: str, *, cluster: bool = False) -> str:
        """Pause a run, wherever it runs, and return its status."""
        return wait_for(self._loom.pause(run_id, cluster=cluster))

    def cancel(self, run_id: str, *, cluster: bool = False) -> str:
        """End a run, wherever it runs, and return its status."""
        return wait_for(self._loom.cancel(run_id, cluster=cluster))

    def retry(
        self,
        run_id: str,
        record_ids: Sequence[str] | None = None,
        *,
        edits: Mapping[str, Any] | None = None,
        cluster: bool = False,
    ) -> RunReport:
        """Run a run's quarantined records again, as `Loom.retry` does."""
        return wait_for(self._loom.retry(run_id, record_ids, edits=edits, cluster=cluster))

    def evaluate(
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
        """Judge the outputs of a run again, as `Loom.evaluate` does."""
        return wait_for(
            self._loom.evaluate(
                run_id,
                with_file,
                thresholds=thresholds,
                evaluators=evaluators,
                budget=budget,
                apply=apply,
                cluster=cluster,
            )
        )

    def diff(self, before: str, after: str, *, limit: int = 50, cluster: bool = False) -> Diff:
        """Compare two runs on the records that both have."""
        return wait_for(self._loom.diff(before, after, limit=limit, cluster=cluster))

    def get_status(self, run_id: str) -> dict[str, Any] | None:
        """Return what `loom status RUN --format json` prints; None where there is no such run."""
        return wait_for(self._loom.get_status(run_id))

    def get_metrics(self, pipeline_name: str, run_id: str | None = None, last: int = 100) -> PipelineFigures:
        """Return what `loom metrics` shows, as `Loom.get_metrics` does."""
        return wait_for(self._loom.get_metrics(pipeline_name, run_id, last))

    def get_lineage(self, pipeline_name: str, run_id: str | None = None) -> Lineage:
        """Return what `loom lineage --format json` prints; `nodes` are the stages of the newest of these runs."""
        return wait_for(self._loom.get_lineage(pipeline_name, run_id))

    def get_costs(self, pipeline_name: str, by: str = "day") -> list[dict[str, Any]]:
        """Return what the pipeline's runs cost by `day`, `week` or `month`."""
        return wait_for(self._loom.get_costs(pipeline_name, by))

    def get_quarantined_records(
        self, pipeline_name: str | None = None, run_id: str | None = None, limit: int = 50, **more: Any
    ) -> list[QuarantinedRecord]:
        """Return what `loom quarantine list --format json` prints, as `Loom.get_quarantined_records` does."""
        return wait_for(self._loom.get_quarantined_records(pipeline_name, run_id, limit, **more))

    def _meant(self, pipeline: Pipeline | str | Path) -> Pipeline:
        return pipeline if isinstance(pipeline, Pipeline) else self.load_pipeline(pipeline)


def run(
    pipeline: Pipeline | str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    records: Records | None = None,
    collect: bool = False,
    sample: int | None = None,
    config_path: str | Path | None = None,
) -> RunResult:
    """Run a pipeline to its end: `loom.run("pipeline.yaml", records=rows, collect=True)`. `SyncLoom` has all else."""
    return SyncLoom(config_path).run(pipeline, params, records=records, collect=collect, sample=sample)


def stream(
    pipeline: Pipeline | str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    input_records: Records | None = None,
    max_concurrent: int = 50,
    config_path: str | Path | None = None,
) -> Iterator[Record]:
    """Yield each record of a run once it is settled: `for record in loom.stream("pipeline.yaml", input_records=...)`.
    Leaving the loop cancels the run."""
    return SyncLoom(config_path).stream(pipeline, params, input_records=input_records, max_concurrent=max_concurrent)
