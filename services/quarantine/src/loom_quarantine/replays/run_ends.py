"""Resolves the records of a replay when it ends."""

from __future__ import annotations

from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import RunFinished, RunReport
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.worker.context import Context
from loom_quarantine import resolution


class RunEnds:
    """Resolves the records that an ended replay has taken and not quarantined again."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def __call__(self, end: RunFinished, _: Context) -> None:
        """Raises `DependencyUnavailable`."""
        if end.replay_of is not None and every_record_ended(end.report):
            resolved = await resolution.replay_ended(self._engine, end.run_id, self._clock.now())
            log.info("replay ended", replay_of=end.replay_of, copies_resolved=resolved)


def every_record_ended(report: RunReport) -> bool:
    """Say whether the run dealt with all the records that it took.

    A run that failed or was cancelled may have left records unloaded. They stay unresolved, and the run can be
    resumed."""
    ends = ("loaded", "filtered", "unnested", "grouped", "rejected", "skipped", "quarantined")
    ended = sum(report.records.get(end, 0) for end in ends)
    entered = report.records.get("extracted", 0) + report.records.get("derived", 0)
    return report.status in ("succeeded", "partial") and ended == entered
