"""What a stage gives back for a batch: the records that go on, those that are kept back, and the fact of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loom_common import flow
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchFact, BatchHeader, Evaluation, KeptRecord, RecordsQuarantined
from loom_common.domain.definition.failing import OnFailure
from loom_common.domain.run.calls import Calls, advanced
from loom_common.domain.run.tally import Tally
from loom_common.errors import PermanentError, RecordError
from loom_common.flow import Stage
from loom_common.worker.context import Context


@dataclass(slots=True)
class StageResult:
    """Collects what became of a batch's records in one stage.

    `advanced` raises the tally by what this stage itself achieved, e.g. `{"transformed": 48}`; the kept records are
    counted here, and the model calls are those of the context."""

    header: BatchHeader
    stage: Stage
    context: Context
    seconds: float = 0.0
    latency: dict[int, int] = field(default_factory=dict)
    waited: dict[int, int] = field(default_factory=dict)
    kept: list[KeptRecord] = field(default_factory=list)
    evaluations: Sequence[Evaluation] = ()
    advanced: dict[str, float] = field(default_factory=dict)
    rows: Sequence[dict[str, Any]] = ()
    """The first rows that were loaded, of a sample, whose report shows them."""

    @property
    def calls(self) -> tuple[Calls, ...]:
        """The model calls that were made for the batch in this stage."""
        return self.context.usage.lines()

    @property
    def tally(self) -> Tally:
        """The batch's tally after this stage."""
        counts = {**self.advanced, **advanced(self.calls, self.stage)}
        for record in self.kept:
            counts[record.outcome] = counts.get(record.outcome, 0) + 1
        return self.header.tally.plus(**counts)

    @property
    def next_header(self) -> BatchHeader:
        """The header for the next stage's message."""
        return self.header.model_copy(update={"tally": self.tally})

    def messages(self, forward: Message | None) -> list[Outgoing]:
        """Everything to publish, the batch first. Without records to forward there is no batch: the fact ends it."""
        header = self.next_header
        outgoing: list[Outgoing] = []
        following = self.stage.next
        if forward is not None and following is not None:
            outgoing.append(Outgoing(flow.work(following, header.pipeline), forward))
        if self.kept:
            outgoing.append(
                Outgoing(
                    flow.quarantine(self.stage, header.pipeline),
                    quarantined(header, self.stage, self.kept, self.context.attempt.number),
                )
            )
        fact = BatchFact(
            header=header,
            stage=self.stage,
            seconds=self.seconds,
            latency=self.latency,
            waited=self.waited,
            evaluations=tuple(self.evaluations),
            calls=self.calls,
            rows=tuple(self.rows),
        )
        outgoing.append(Outgoing(flow.fact("batch", self.stage.done, header.pipeline), fact))
        return outgoing


def quarantined(header: BatchHeader, stage: Stage, kept: Sequence[KeptRecord], number: int) -> RecordsQuarantined:
    """The message that gives kept records to the quarantine service, at the attempt of that number (1-based)."""
    counted = [each if each.attempts else each.model_copy(update={"attempts": number}) for each in kept]
    return RecordsQuarantined(
        run_id=header.run_id, pipeline=header.pipeline, batch_id=header.batch_id, stage=stage, records=tuple(counted)
    )


def kept_for_error(
    record_id: str,
    error: RecordError,
    on_failure: OnFailure,
    *,
    input: dict[str, object],  # noqa: A002 - the field's own term
    output: dict[str, object] | None = None,
    tries: int = 1,
) -> KeptRecord:
    """A record kept for an error, as its stage's `on_failure` says, after so many `tries` in the worker's hands.
    `abort` raises `PermanentError`."""
    if on_failure == "abort":
        raise PermanentError(f"Record {record_id}: {error} (on_failure: abort)") from error
    return KeptRecord(
        record_id=record_id,
        outcome="skipped" if on_failure == "skip" else "quarantined",
        code=error.code,
        reason=str(error),
        input=input,
        output=output,
        details=error.details,
        attempts=tries if tries > 1 else None,
    )
