"""Describes a record that a run has settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from loom_common.contracts.v1 import EvaluatedRecord, KeptRecord
from loom_common.flow import Stage

Status = Literal["validated", "rejected", "quarantined", "skipped"]


@dataclass(frozen=True, slots=True)
class Record:
    """Represents a record that a run has settled."""

    id: str
    status: Status
    """`validated` where it passed all that the pipeline demands; `rejected` by the gate; `quarantined` for an error;
    `skipped` where `on_failure: skip` says so. All but the first are in the quarantine, too."""
    input: Mapping[str, Any]
    """The record as its source gave it."""
    output: Mapping[str, Any] | None
    """Holds what the transform made of it; None where it came to nothing."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Holds the scores of the record, by the name of the evaluator."""
    failure_reason: str | None = None
    """Says why it did not pass, in words; None where it did."""
    failure_code: str | None = None
    """Says the same as a word for programs, such as `gate` or `invalid_output`."""
    failure_stage: Stage | None = None
    """The stage that kept it back; None where it passed."""

    @property
    def evaluation_score(self) -> float | None:
        """Return the mean of its scores; None where nothing scored it."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else None

    @property
    def passed(self) -> bool:
        """Tell whether it passed all that the pipeline demands."""
        return self.status == "validated"


def validated(record: EvaluatedRecord) -> Record:
    """Return a record that passed."""
    return Record(record.id, "validated", record.input, record.result, record.scores)


def kept_back(record: KeptRecord, stage: Stage) -> Record:
    """Return a record that a stage kept back."""
    return Record(
        record.record_id,
        record.outcome,
        record.input,
        record.output,
        record.scores,
        record.reason,
        record.code,
        stage,
    )
