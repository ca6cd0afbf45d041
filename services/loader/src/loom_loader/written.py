"""Says what became of the rows of a batch, and which records were loaded or are kept back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loom_common.contracts.v1 import EvaluatedRecord, KeptRecord
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.values.plural import counted
from loom_common.domain.values.sampling import SHOWN_ROWS, shown_row
from loom_common.errors import DestinationError, RecordError
from loom_common.worker.stage_result import kept_for_error
from loom_connectors.ports.destination import FailedRow, LoadBatch, Row


@dataclass(frozen=True, slots=True)
class Written:
    """Says what became of the rows of a batch: those loaded in all, staged of these, and in the second destination."""

    loaded: int
    staged: int
    second: int
    failed: Sequence[FailedRow]

    def __add__(self, more: Written) -> Written:
        """Add what became of those that failed, which were written again."""
        sums = (self.loaded + more.loaded, self.staged + more.staged, self.second + more.second)
        return Written(*sums, more.failed)

    @property
    def as_second(self) -> Written:
        """Return the same, of rows that went to the second destination."""
        return replace(self, second=self.loaded)


def first_rows(rows: Sequence[Row], failed: Sequence[FailedRow]) -> list[dict[str, Any]]:
    """Return the first rows that were loaded, for the report of a sample."""
    refused = {row.record_id for row in failed}
    return [shown_row(row.values) for row in rows if row.record_id not in refused][:SHOWN_ROWS]


def loaded_after_all(batch: LoadBatch, result: Written) -> tuple[str, ...]:
    """Return the records that are loaded, where the quarantine may hold them: an earlier run, or this one before it was
    resumed, may have kept them back."""
    if batch.origin is None:
        return ()
    failed = {row.record_id for row in result.failed}
    return tuple(row.record_id for row in batch.rows if row.record_id not in failed)


def rows_that_failed(batch: LoadBatch, failed: Sequence[FailedRow]) -> LoadBatch:
    """Return the batch with only the rows that failed."""
    wanted = {row.record_id for row in failed}
    return replace(batch, rows=[row for row in batch.rows if row.record_id in wanted])


def refused(records: Sequence[EvaluatedRecord], result: Written, on_failure: OnFailure) -> list[KeptRecord]:
    """Return the records whose rows the destination refused. Raises `DestinationError` where it lost count of them."""
    if result.loaded + len(result.failed) != len(records):
        raise DestinationError(
            f"The destination accounts for {result.loaded} loaded and {len(result.failed)} refused of "
            f"{counted(len(records), 'row')}. Its connector must account for every row of a batch."
        )
    if not result.failed:
        return []
    by_id = {record.id: record for record in records}
    return [_kept(by_id[row.record_id], RecordError(row.reason, code=row.code), on_failure) for row in result.failed]


def missing_a_check(
    records: Sequence[EvaluatedRecord], errors: Mapping[str, RecordError], on_failure: OnFailure
) -> list[KeptRecord]:
    """Return the records whose rows miss a quality check, or do not fit their schema."""
    return [_kept(record, errors[record.id], on_failure) for record in records if record.id in errors] if errors else []


def _kept(record: EvaluatedRecord, error: RecordError, on_failure: OnFailure) -> KeptRecord:
    kept = kept_for_error(
        record.id, error, on_failure, input=record.input, output=record.result, derived=record.derived
    )
    return kept.model_copy(update={"scores": record.scores})
