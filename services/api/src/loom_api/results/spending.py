"""Defines what is shown of costs, by span of time and in all."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from loom_common.domain.json_values.shown import Shown
from loom_coordinator.queries.costs.spans import CostSpan, CostTotal


@dataclass(frozen=True, slots=True)
class Costs(Shown):
    """Says what runs cost, by span of time and in all."""

    spans: Sequence[CostSpan]
    total: CostTotal


class SpanDocument(BaseModel):
    """Says what was spent in one day, week or month."""

    span: str
    runs: int
    records: int
    budget: float
    made: int
    reused: int
    unpriced: int
    estimated: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost: float
    seconds: float
    cost_by_stage: dict[str, float]
    cost_by_model: dict[str, float]
    cost_by_purpose: dict[str, float]
    cost_per_record: float | None


class CostsDocument(BaseModel):
    """Says what runs cost, by span of time and in all."""

    spans: list[SpanDocument]
    total: CostTotal
