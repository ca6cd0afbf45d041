"""Defines what is shown of one record of a run, and of one that was kept back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from loom.kept_record import KeptTime, RecordStory
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.queries.records import AnsweredBy, CallsForRecord, Score


@dataclass(frozen=True, slots=True)
class RecordOfRun(Shown):
    """Holds all that is known of one record of a run."""

    run_id: str
    record_id: str
    scores: Sequence[Score]
    calls: Sequence[CallsForRecord] | None
    """Says what was paid for it; None where the journal cannot tell record by record."""
    kept: RecordStory | None
    """The record as the run kept it back; None where it did not."""
    answered_by: AnsweredBy | None
    """Says what gave its output, where there was a choice: the tier of a cascade, or a fallback."""


class MadeOf(BaseModel):
    """Names the record that a step of a transform made another of, or the first of those of a group, and the step."""

    parent: str
    step: str
    members: int = Field(1, description="How many records it was made of: several by a step that groups.")


class KeptDocument(BaseModel):
    """Holds all that is known of one record that was kept back."""

    record_id: str
    run_id: str
    pipeline: str
    stage: str
    outcome: str
    code: str
    reason: str
    details: dict[str, Any]
    input: dict[str, Any]
    prompt: str | None
    output: Any
    answered_by: AnsweredBy | None
    scores: list[Score]
    attempts: int | None
    calls: list[CallsForRecord] | None
    cost: float | None
    quarantined_at: str
    resolved: bool
    resolved_at: str | None
    resolution_action: str | None
    derived_from: MadeOf | None
    replay_of: str | None
    resolved_by: str | None
    replays: list[KeptTime]
    kept_before: list[KeptTime]


class RecordDocument(BaseModel):
    """Holds all that is known of one record of a run."""

    run_id: str
    record_id: str
    scores: list[Score]
    calls: list[CallsForRecord] | None
    kept: KeptDocument | None
    answered_by: AnsweredBy | None
