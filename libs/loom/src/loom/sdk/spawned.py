"""Runs the pipelines that a run of this process spawns, for Python code that waits for them.

On a cluster the coordinator starts them, and nobody waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loom.project.config import LoomConfig
from loom.project.person import person
from loom.requests.spawned import Spawning, below, request_for
from loom.sdk.attaching import attached, report_once
from loom_common.contracts.v1 import RunReport
from loom_common.domain.values.ids import run_id_for, spawn_key
from loom_common.errors import LoomError
from loom_common.logs.logger import log

_SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class SpawnedRun:
    """Says what became of a run that another one has spawned."""

    pipeline: str
    report: RunReport | None = None
    """None where it has not ended, or was not begun."""
    why: str | None = None
    """Says why it has no report, in a sentence; None where it has one."""

    @property
    def run_id(self) -> str | None:
        """Return the id of the run; None where it has no report."""
        return None if self.report is None else self.report.run_id

    @property
    def status(self) -> str:
        """Return the status of the run, or `not run` where it has no report."""
        return "not run" if self.report is None else self.report.status


class SpawnedRuns:
    """Runs what a pipeline spawns, one after the other."""

    def __init__(self, config: LoomConfig, pipeline: str, spawn: Sequence[str], *, wait: bool) -> None:
        """Find the pipelines. Raises `ConfigurationError` for names of no pipeline and for circles."""
        self._config = config
        self._wait = wait
        self._pipeline = pipeline
        self._found = below(pipeline, spawn, config)

    async def after(self, first: RunReport) -> tuple[SpawnedRun, ...]:
        """Run each once after a run that has succeeded, and say what became of it. One that was begun before is gone on
        with. What cannot run is logged, and says why; what comes after it is not run."""
        if first.status != _SUCCEEDED:
            return ()
        ended: dict[str, RunReport | None] = {self._pipeline: first}
        done = []
        for each in self._found:
            before = ended[each.after]
            spawned = await self._spawned(each, before)
            ended[each.name] = spawned.report
            done.append(spawned)
        return tuple(done)

    async def _spawned(self, each: Spawning, before: RunReport | None) -> SpawnedRun:
        name = each.loaded.pipeline.name
        if before is None or before.status != _SUCCEEDED:
            became = "was not run" if before is None else before.status
            return SpawnedRun(name, why=f"{each.pipeline} {became}.")
        key = spawn_key(each.pipeline, before.run_id, name)
        try:
            report = await attached(self._config, key, name)
            if report is None:
                request = await request_for(
                    each.loaded, key, self._config, wait=self._wait, say=_noted, requested_by=person()
                )
                report = await report_once(self._config, request, name, wait=self._wait)
        except LoomError as error:
            log.warning("a spawned run has not ended", pipeline=name, run_id=run_id_for(key), reason=str(error))
            return SpawnedRun(name, why=str(error))
        return SpawnedRun(name, report)


def _noted(words: str) -> None:
    log.info(words)
