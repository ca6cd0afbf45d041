"""Puts together what is shown of a run while it goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from loom_api.console.shown import waiting
from loom_api.reads import Reads
from loom_api.reads.of_runs import GoingRun
from loom_common.domain.run.statuses import ShownStatus
from loom_coordinator.db.run import Run
from loom_coordinator.queries.run_details import RunDetails
from loom_coordinator.queries.run_filter import RunFilter

UNDER_WAY = frozenset({ShownStatus.QUEUED, ShownStatus.RUNNING, ShownStatus.PAUSED, ShownStatus.INTERRUPTED})
_RESUMABLE = frozenset({ShownStatus.PAUSED, ShownStatus.INTERRUPTED, ShownStatus.CANCELLED, ShownStatus.FAILED})
MOST = 6
"""The number of runs under way that a list shows in full."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """Shows how a run goes."""

    run: Run
    status: str
    details: RunDetails
    waits: Sequence[str]
    """Says in sentences what it waits for."""

    @property
    def goes_on(self) -> bool:
        """Tell whether what is shown may change by itself."""
        return self.status in UNDER_WAY

    @property
    def may_pause(self) -> bool:
        """Tell whether it can be paused."""
        return self.status == ShownStatus.RUNNING

    @property
    def may_resume(self) -> bool:
        """Tell whether it may be asked to go on."""
        return self.status in _RESUMABLE

    @property
    def may_cancel(self) -> bool:
        """Tell whether it can be cancelled."""
        return self.goes_on

    @property
    def pass_rate(self) -> float | None:
        """Return the share of records that passed among those that the gate decided about, from 0 to 1."""
        tally = self.run.totals.tally
        return 1 - tally.rejected / tally.judged if tally.judged else None

    @property
    def spent_share(self) -> float | None:
        """Return the share of its budget that a run has spent, from 0 to 1 and beyond; None without a budget."""
        return self.details.line.cost / self.run.budget if self.run.budget else None

    @property
    def latency(self) -> dict[str, float | None]:
        """Return percentiles of the seconds to an answer so far, by their names."""
        return self.run.totals.percentiles()


def live_run(going: GoingRun) -> LiveRun:
    """Return what is shown of how a run goes."""
    run, status, details = going.run, going.status, going.details
    return LiveRun(run, status, details, waiting.sentences(run, status, details, dt.datetime.now(dt.UTC)))


async def under_way(reads: Reads, pipeline: str | None) -> list[LiveRun]:
    """Return how the newest runs go that have not ended."""
    chosen = RunFilter(pipeline=pipeline, statuses=frozenset(each.value for each in UNDER_WAY))
    found = await reads.run_page(chosen, MOST, None)
    return [live_run(await reads.going(each.run_id)) for each in found]
