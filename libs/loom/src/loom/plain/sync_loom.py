"""Offers all that `Loom` does to code that is not asynchronous: each method waits for its end.

It works in a script and, where an event loop runs already, in a notebook."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from loom.api import Loom
from loom.frames.given import Records
from loom.plain.waiting import each_of, wait_for
from loom.plain.windows import PlainWindowStream
from loom.sdk.pipeline import Pipeline
from loom.sdk.run_result import RunResult
from loom.streaming.settled import Record

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(
    method: Callable[Concatenate[Loom, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncLoom, P], T]:
    """Return a method with the signature, the types and the description of one of `Loom`, which waits for its end."""

    @functools.wraps(method)
    def waits(self: SyncLoom, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return wait_for(method(self._loom, *args, **kwargs))

    return waits


class SyncLoom:
    """Represents a project, as `Loom` does, for code that is not asynchronous: no method of it has to be awaited."""

    def __init__(
        self,
        config_path: str | Path | None = None,
        *,
        target: str | None = None,
        allow_paths: Iterable[str | Path] = (),
    ) -> None:
        """Take the same as `Loom` does."""
        self._loom = Loom(config_path, target=target, allow_paths=allow_paths)

    def load_pipeline(self, path: str | Path) -> Pipeline:
        """Read a pipeline file, or the pipeline that has this name in the project. Raises `InvalidDefinition` with
        every mistake, placed by line and column, and `NotFound` for a name that none has."""
        return self._loom.load_pipeline(path)

    run = _waiting(Loom.run_pipeline)
    run_pipeline = run
    validate = _waiting(Loom.validate)
    estimate = _waiting(Loom.estimate)
    history = _waiting(Loom.history)
    resume = _waiting(Loom.resume)
    pause = _waiting(Loom.pause)
    cancel = _waiting(Loom.cancel)
    retry = _waiting(Loom.retry)
    evaluate = _waiting(Loom.evaluate)
    diff = _waiting(Loom.diff)
    get_status = _waiting(Loom.get_status)
    get_metrics = _waiting(Loom.get_metrics)
    get_lineage = _waiting(Loom.get_lineage)
    get_costs = _waiting(Loom.get_costs)
    get_quarantined_records = _waiting(Loom.get_quarantined_records)

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
            pipeline,
            params,
            input_records=input_records,
            max_concurrent=max_concurrent,
            reuse=reuse,
            wait=wait,
        )
        return each_of(aiter(stream))

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
    ) -> PlainWindowStream:
        """Open the stream of a pipeline with `mode: streaming`, or go on with it, as `Loom.open_stream` does: `with
        loom.open_stream(...) as stream`, and in the block `for window in stream`."""
        asked = self._loom.open_stream(
            pipeline,
            params,
            canary=canary,
            begin_at=begin_at,
            again=again,
            budget=budget,
            reuse=reuse,
            cluster=cluster,
            wait=wait,
        )
        return PlainWindowStream(asked)


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
