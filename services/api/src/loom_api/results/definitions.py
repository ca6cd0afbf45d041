"""Defines the results of looking at a definition without running it: what was checked, and what a run may cost."""

from pydantic import BaseModel, Field

from loom_common.contracts.v1 import StageCalls


class CheckLine(BaseModel):
    """Describes one thing that was checked."""

    check: str
    ok: bool
    doubtful: bool = Field(description="Whether it does not stand in the way of a run, and may still be a mistake.")
    detail: str


class ColumnLine(BaseModel):
    """Describes one column on its way from the source to the destination."""

    column: str
    origin: str | None = Field(description="`source`, `output` or both; null for a column that is not written.")
    in_prompt: bool
    written: str | None = Field(description="The type of what is written, where it is known.")
    there: str | None = Field(description="The type of the destination's column, where it has one.")
    done: str = Field(description="What a run does about it.")
    fits: bool


class Validated(BaseModel):
    """Says what was found of a definition without mistakes, and of what it needs."""

    pipeline: str
    version: str
    summary: str
    checks: list[CheckLine]
    columns: list[ColumnLine] | None = Field(None, description="How the columns fit, where that was asked for.")


class EstimatedCost(BaseModel):
    """Holds amounts in USD."""

    total: float
    transform: float
    evaluate: float


class NotEstimated(BaseModel):
    """Describes records of the sample that no model could be asked about, and why."""

    stage: str
    reason: str
    records: int


class Estimated(BaseModel):
    """Estimates a run that was not made."""

    pipeline: str
    records: int
    sampled: int
    cost: EstimatedCost
    cost_per_record: float
    calls: list[StageCalls]
    unknown_prices: list[str]
    not_estimated: list[NotEstimated]
    budget: float | None
    share_of_budget: float | None
    budget_needed: float
    fits_budget: bool | None
    answers_as_in_earlier_runs: bool
