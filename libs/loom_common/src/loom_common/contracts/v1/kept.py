"""Defines what the quarantine is told: records that a stage has kept back, and those that are loaded after all."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from loom_common.contracts.envelope import Message, Part
from loom_common.contracts.v1.batches import Derived
from loom_common.domain.values.ids import message_id
from loom_common.flow import Stage


class KeptRecord(Part):
    """Describes a record that was not let through, with all that is known about it."""

    record_id: str
    outcome: Literal["quarantined", "rejected", "skipped"]
    code: str = Field(description="A stable word for programs: `gate`, `ragged_row`, `invalid_output`, `constraint`.")
    reason: str
    input: dict[str, Any]
    output: dict[str, Any] | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    attempts: int | None = Field(None, description="How often its stage tried it; null where nobody counted.")
    derived: Derived | None = Field(None, description="Of which record it was made; null for one of the source.")


class RecordsQuarantined(Message):
    """Sends the quarantine service the records of one batch that one stage did not let through."""

    type: ClassVar[str] = "loom.records.quarantined.v1"

    run_id: str
    pipeline: str
    batch_id: str
    stage: Stage
    records: tuple[KeptRecord, ...]

    @property
    def message_id(self) -> str:
        return message_id("quarantined", self.batch_id, self.stage)


class RecordsLoaded(Message):
    """Tells the quarantine service of loaded records that it may hold. A replay sends all that it loads, and a resumed
    run what it loads from then on. The records are resolved in every copy."""

    type: ClassVar[str] = "loom.records.loaded.v1"

    run_id: str
    batch_id: str
    record_ids: tuple[str, ...]

    @property
    def message_id(self) -> str:
        return message_id("records-loaded", self.batch_id)
