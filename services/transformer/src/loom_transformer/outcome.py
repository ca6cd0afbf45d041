"""Defines what a transform is, and what it makes of one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from loom_ai.journal.usage import NOTHING, Spent
from loom_common.domain.checks.record_checks import see_that_the_key_stays
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.calls import Tier
from loom_common.domain.values.per_record import per_record
from loom_common.errors import BreakerOpen, RecordError, Timeout, TransientError
from loom_common.text import unstorable
from loom_common.user_code.poison_isolation import Risk
from loom_common.worker.context import Context

if TYPE_CHECKING:
    from loom_common.contracts.v1 import ExtractedRecord, RecordInSteps
    from loom_common.domain.steps.grouping import GroupMember


@per_record
class TransformOutcome:
    """Holds an output, or the error that prevented one; and what it took either way."""

    output: dict[str, Any] | None
    """None without an error: the output is the input."""
    seconds: float
    error: RecordError | None = None
    spent: Spent = NOTHING
    answered_by: str | None = None
    """Says what gave the output, where there is a choice: the tier of a cascade, or a fallback."""
    tier: Tier | None = None
    """Names the tier of a cascade that was asked last: the dear one where the cheap one was unsure."""
    waits: bool = False
    """Tells whether some of the time went by waiting for models, which is not theirs."""
    filtered: str | None = None
    """Names the filter that dropped the record, where one did."""
    grouped: GroupMember | None = None
    """Says to which group a step added the record, which ends there."""
    on_failure: OnFailure | None = None
    """Says what the step that failed says of failures; None for what the transform says."""
    parts: tuple[Part, ...] = ()
    """Holds the records that steps made of it and that go on in its place, with their outcomes."""
    derived: int = 0
    """Says how many records steps made of it, and of those in turn."""
    unnested: int = 0
    """Says of how many records others were made: of this one, and of those made of it. It is 0 where the record itself
    goes on."""
    going_on: RecordInSteps | None = None
    """Holds the record with what the steps so far made of it, where further steps are to come."""
    wanted: bool = False
    """Tells whether the next step works on the record, or on one made of it."""

    @property
    def answered(self) -> float | None:
        """Return the seconds that models took to answer, or the code that made the output; None where no model was
        asked."""
        if not self.waits:
            return self.seconds
        return self.spent.answered if self.spent.calls_made else None

    @property
    def waited(self) -> float | None:
        """Return the seconds besides: for a turn, for limits, for further tries; None where no model was asked."""
        if not self.waits or not self.spent.calls_made:
            return None
        return max(0.0, self.seconds - self.spent.answered)


@per_record
class Part:
    """Holds a record that a step made of another, with its outcome."""

    record: ExtractedRecord
    outcome: TransformOutcome


def carried(outcome: TransformOutcome) -> TransformOutcome:
    """Carry the outcome; give the error of one whose output no message can carry."""
    if outcome.output is None or (why := unstorable(outcome.output)) is None:
        return outcome
    error = RecordError(f"The output holds {why}", code="unstorable", details={"output": outcome.output})
    return replace(outcome, output=None, error=error)


def with_its_key(record: ExtractedRecord, outcome: TransformOutcome, keys: Sequence[str]) -> TransformOutcome:
    """Give the outcome; give the error of one whose output would overwrite the record's key."""
    if outcome.output is None:
        return outcome
    try:
        see_that_the_key_stays(record.input, outcome.output, keys)
    except RecordError as error:
        return replace(outcome, output=None, error=error)
    return outcome


def given_up(trouble: TransientError, attempt: Attempt) -> RecordError:
    """Return the error of a record that is kept back for what may pass. Raises `trouble` where it may come again."""
    if isinstance(trouble, BreakerOpen) or not attempt.last:
        raise trouble
    code = TIMEOUT if isinstance(trouble, Timeout) else "unavailable"
    return RecordError(f"{trouble} (after the last attempt)", code=code)


class Transform(Protocol):
    """Makes outputs. One per plan; shared by all its batches."""

    @property
    def risk(self) -> Risk | None:
        """Return the risk of its code for the process it runs in; None for none."""
        ...

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """Return one outcome per record, in order. `again` is how often this worker transformed these records before:
        answers of then are not used again.

        Raises `TransientError` where the batch should come again later, `PermanentError` where the run cannot go on,
        `WorkerWornOut`; a record's own trouble is its outcome."""
        ...


class Applied(Protocol):
    """Makes outputs, as a transform does, of records that may be amid its steps."""

    @property
    def risk(self) -> Risk | None:
        """Return the risk of its code for the process it runs in; None for none."""
        ...

    async def apply(
        self, run_id: str, records: Sequence[Any], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """Return one outcome per record, in order. Raises what `Transform.apply` raises."""
        ...
