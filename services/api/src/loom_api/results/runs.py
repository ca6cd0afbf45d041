"""Defines what is shown of a run: its report, and how it goes."""

import datetime as dt
from typing import Any

from pydantic import BaseModel, Field

from loom_common.contracts.v1 import RunReport
from loom_coordinator.queries.outcomes.spawned_runs import Spawned
from loom_coordinator.queries.records import KeptRecord
from loom_coordinator.queries.run_details import BatchCounts, CallCounts, PartitionLine, StageLine


class RunDocument(RunReport):
    """Holds the report of a run, with when it ran, with what, and what holds it up."""

    started_at: dt.datetime
    completed_at: dt.datetime | None
    params: dict[str, Any]
    model: str | None
    prompt_version: str | None
    replay_of: str | None = Field(description="The run whose quarantined records it runs over again.")
    notice: str | None = Field(description="What holds it up, in a sentence.")
    requested_by: str | None
    preflight: dict[str, Any] | None = Field(
        description="What was found before it began: `checks` and `columns`. On a cluster, `awaited` is `source` or "
        "`destination` as long as that one is not looked at."
    )
    spawned_by: str | None = Field(description="The run that has spawned it.")
    spawned: list[Spawned] = Field(description="The runs that it has spawned, in the order of its pipeline.")


class RunMetrics(BaseModel):
    """Says how a run goes: its stages, rates, batches, calls and costs."""

    run_id: str
    pipeline_name: str
    pipeline_version: str
    status: str
    priority: int
    started_at: dt.datetime
    seconds: float
    extracted: int
    ended: int
    loaded: int
    kept: int
    cost: float
    requested_by: str | None
    notice: str | None
    model: str | None
    prompt_version: str | None
    destination: str
    epoch: int
    replay_of: str | None
    deadline: dt.datetime | None
    stages: list[StageLine]
    partitions: PartitionLine
    batches: BatchCounts
    credit_window: int | None
    records: dict[str, int]
    records_per_second: float
    remaining: int | None
    eta_seconds: float | None
    cost_by_stage: dict[str, float]
    calls: CallCounts
    last_kept: list[KeptRecord]
