"""Defines what requests say in their bodies."""

from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from loom_common.domain.run.replaying import Changes
from loom_common.flow import Stage
from loom_common.text import storable_value
from loom_quarantine.queries import RecordFilter

_MOST = 1_000_000_000
MOST_DOLLARS = _MOST
"""The highest budget, in USD."""
_EXAMPLE = "name: reviews\nextract:\n  source: data/reviews.csv\nload:\n  destination: out.csv\n"


class Body(BaseModel):
    """Refuses keys that it does not know, and what no store can hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, said: Any) -> Any:
        if storable_value(said) != said:
            raise ValueError("expected text and values that every store can hold: no NUL, no halves of surrogate pairs")
        return said


class RunOptions(Body):
    """Says how a pipeline is to be run. Everything may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"params": {"day": "2026-01-01"}, "sample": 10}]})

    params: dict[str, Any] = Field(default_factory=dict, description="Values for the pipeline's parameters.")
    sample: int | None = Field(
        None, ge=1, le=_MOST, description="Try it over the first so many records; rows go beside the destination."
    )
    load: bool = Field(False, description="With `sample`: load the rows into the destination itself.")
    reuse: bool = Field(True, description="False: take no result of an earlier run.")
    full_refresh: bool = Field(False, description="Read all of an incremental source, whatever runs have read before.")
    budget: float | None = Field(
        None,
        gt=0,
        le=_MOST,
        description="What the run may cost, in USD; with the pipeline's `cost_budget`, the lesser of the two.",
    )
    priority: int = Field(5, ge=1, le=10, description="Its share beside other runs: 10 weighs twice 5.")
    canary: float | None = Field(
        None, gt=0, lt=1, description="For a stream that is there: the share of its records that it takes on trial."
    )
    begin_at: str | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="For a stream: where its next window begins: a time such as `2026-11-01T06:00:00Z`, how long ago "
        "(`2h`), `start`, `end`, or a place as its source names it.",
        examples=["2h"],
    )
    again: bool = Field(False, description="With `begin_at`: also take again what the stream has taken before.")

    @model_validator(mode="after")
    def _load_needs_a_sample(self) -> "RunOptions":
        if self.load and self.sample is None:
            raise ValueError("`load` says where a sample goes; give `sample`, too")
        return self


class Definition(Body):
    """Holds a definition that lies in no file here."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"definition": _EXAMPLE}]})

    definition: str = Field(max_length=500_000, description="The text of a pipeline file: YAML, or JSON.")
    folder: str = Field(
        "", max_length=1_000, description="Where its relative paths start, below the project folder. Default: there."
    )

    @field_validator("folder")
    @classmethod
    def _below(cls, folder: str) -> str:
        path = PurePosixPath(folder)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("expected a folder below the project folder, such as `pipelines`")
        return folder


class ValidateOptions(Definition):
    """Holds a definition that is to be checked."""

    connect: bool = Field(False, description="Try the models' endpoints and the journal, and tell how the columns fit.")


class EstimateOptions(Definition):
    """Holds a definition of which a run is to be estimated."""

    sample: int = Field(100, ge=1, le=10_000, description="Render the first so many records.")
    params: dict[str, Any] = Field(default_factory=dict, description="Values for the pipeline's parameters.")


class ResumeOptions(Body):
    """Says with what a run goes on. Everything may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"budget": 20.0}]})

    budget: float | None = Field(None, gt=0, le=_MOST, description="What the run may cost in all, in USD, from now on.")


class PriorityOptions(Body):
    """Says which share a run has beside others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": 8}]})

    priority: int = Field(ge=1, le=10, description="10 weighs twice 5.")


class ChosenRecords(Body):
    """Says which records of a run are meant, of those that it kept back and that still wait."""

    run_id: str = Field(description="The run that kept them back.")
    record_ids: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only these. Default: all that still wait."
    )
    stage: Stage | None = Field(None, description="Only those kept back at this stage.")
    reason: str | None = Field(None, min_length=1, description="Only those whose reason has these words, or this code.")
    evaluator: str | None = Field(None, min_length=1, description="Only those it scored, or failed on.")
    min_score: float | None = Field(None, ge=0, le=1, description="Only those that `evaluator` gave at least so much.")
    max_score: float | None = Field(None, ge=0, le=1, description="Only those that `evaluator` gave at most so much.")

    @model_validator(mode="after")
    def _scores_need_an_evaluator(self) -> Self:
        if self.evaluator is None and (self.min_score, self.max_score) != (None, None):
            raise ValueError("a score needs an evaluator; give `evaluator`, too")
        return self

    def meant(self) -> RecordFilter:
        """Return the records that are meant."""
        return RecordFilter(
            run_id=self.run_id,
            record_ids=self.record_ids,
            stage=self.stage,
            reason=self.reason,
            evaluator=self.evaluator,
            min_score=self.min_score,
            max_score=self.max_score,
        )


class DiscardOptions(ChosenRecords):
    """Says which records of a run are given up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"run_id": "run_4f1c2a9b7e03", "reason": "gate"}]})


class ReplayOptions(Changes, ChosenRecords):
    """Says which records of a run are run again, and what is to be another then."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=False,
        json_schema_extra={"examples": [{"run_id": "run_4f1c2a9b7e03", "reason": "gate", "model": "gpt-4o"}]},
    )

    def changes(self) -> Changes | None:
        """Return the changes; None where there are none."""
        made = Changes(**self.model_dump(include=set(Changes.model_fields)))
        return None if made == Changes() else made


class RetryOptions(Changes, Body):
    """Says what is to be another when a record is run again. Everything may be left out."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=False,
        json_schema_extra={"examples": [{"model": "gpt-4o", "thresholds": {"accuracy": 0.6}}]},
    )

    run_id: str | None = Field(None, description="The run that kept it back. Default: the one that did so last.")

    def changes(self) -> Changes | None:
        """Return the changes; None where there are none."""
        made = Changes(**self.model_dump(exclude={"run_id"}))
        return None if made == Changes() else made


class EvaluateOptions(Body):
    """Says how the outputs of a run are scored again. Everything may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"thresholds": {"accuracy": 0.6}}]})

    thresholds: dict[str, float] = Field(
        default_factory=dict, description="Other thresholds, by evaluator; of a weighted gate: `gate`."
    )
    evaluators: list[str] = Field([], max_length=100, description="Judge by these evaluators alone. Default: by all.")
    budget: float | None = Field(None, gt=0, le=_MOST, description="What new judgements may cost, in USD.")
    apply: bool = Field(False, description="Load what passes now, and withdraw what no longer does.")
    limit: int = Field(100, ge=1, le=10_000, description="At most so many changed records are named.")


_SUBJECT = "The sample drawn for this evaluator, or the `gate`. Default: the one drawn last."


class LabelBody(Body):
    """Says what somebody thinks of a record."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"record_id": "r-17", "verdict": "fail"}]})

    record_id: str = Field(min_length=1, max_length=2_000)
    verdict: Literal["pass", "fail", "skip"] = Field(description="`skip`: the user cannot say.")
    comment: str | None = Field(None, max_length=4_000)
    expected: str | None = Field(None, max_length=4_000, description="The value that would be right.")
    evaluator: str | None = Field(None, max_length=100, description=_SUBJECT)


class UndoBody(Body):
    """Says of which sample the last label is taken back."""

    evaluator: str | None = Field(None, max_length=100, description=_SUBJECT)


class SampleBody(Body):
    """Says which records are drawn. Everything may be left out."""

    count: int | None = Field(
        None, ge=1, le=5_000, description="How many. Default: as many as were drawn before, else 50."
    )
    evaluator: str | None = Field(
        None,
        max_length=100,
        description="Those nearest to its threshold; `gate`: that of the gate. Default: the only evaluator, else the "
        "gate.",
    )
