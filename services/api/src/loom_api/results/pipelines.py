"""Defines what is shown of a pipeline: its versions, and what its runs come to."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from loom.pipeline_list import ListedPipeline
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.queries.pipeline_figures import EvaluatorFigures
from loom_coordinator.queries.pipelines import PipelineVersion


@dataclass(frozen=True, slots=True)
class PipelineDetails(Shown):
    """Describes a pipeline with the versions that have run."""

    line: ListedPipeline
    versions: Sequence[PipelineVersion]

    def as_json(self) -> dict[str, Any]:
        """Write the fields of the line, and the versions beside them."""
        fields = Shown.as_json(self)
        return {**fields.pop("line"), **fields}


class PipelineDocument(BaseModel):
    """Describes a pipeline with the versions that have run."""

    name: str
    version: str
    description: str | None
    file: str | None = Field(description="Its path in the project folder; null where it has run and has no file there.")
    last_run: str | None
    last_status: str | None
    last_started_at: dt.datetime | None
    versions: list[PipelineVersion]


class FiguresDocument(BaseModel):
    """Says what the runs of a pipeline come to, as `loom metrics --format json` prints it."""

    pipeline: str
    runs: list[str] = Field(description="The runs that are added up, the newest first.")
    statuses: dict[str, int] = Field(description="The number of these runs by status.")
    records: dict[str, int] = Field(description="The number of records by what became of them.")
    duration_seconds: float | None = Field(description="The mean over the runs that have ended.")
    calls: int = Field(description="Model calls that were paid for.")
    calls_reused: int = Field(description="Answers that had been paid for before.")
    tokens_in: int
    tokens_out: int
    total_cost: float = Field(description="USD.")
    cost_per_record: float | None = Field(description="USD.")
    avg_latency_ms: float | None = Field(description="The mean time that a model took to answer.")
    latency: dict[str, float | None] = Field(description="`p50`, `p95` and `p99` in seconds.")
    avg_evaluation_score: float | None
    evaluators: dict[str, EvaluatorFigures]
    success_rate: float | None = Field(description="The share of the ended runs that succeeded.")
