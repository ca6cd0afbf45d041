"""Makes the message that takes a batch to the next stage that it visits.

The result of a stage on the way there that has nothing to do is made here, and counted in the tally as if the stage had
given it; it sends no fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchHeader,
    BatchTransformed,
    EvaluatedRecord,
    ExtractedRecord,
    KeptRecord,
    TransformedRecord,
)
from loom_common.domain.frozen_models import replaced
from loom_common.domain.run.calls import Calls, advanced
from loom_common.flow import Stage
from loom_common.worker.slices import Slice
from loom_common.worker.stage_result import (
    Entering,
    StageResult,
    Transformed,
    extracted_records,
    passed_unscored,
    unchanged,
)


@dataclass(frozen=True, slots=True)
class Forward:
    """Holds the message that takes a batch to the next stage that it visits."""

    header: BatchHeader
    """Holds the batch's header, with the tally after the stages on the way that have nothing to do."""
    outgoing: tuple[Outgoing, ...] = ()
    """Holds the message; none where no record is left, because the batch ends with its fact then."""


def to_extract(header: BatchHeader, records: Sequence[ExtractedRecord]) -> Forward:
    """Send the batch to the extractor, which checks its keys."""
    return _forward(Stage.EXTRACT, BatchExtracted(header=header, records=records))


def to_transform(header: BatchHeader, records: Sequence[Entering], stages: tuple[Stage, ...]) -> Forward:
    """Send the batch to the transformer, or to the next of `stages` where that is not among them."""
    if Stage.TRANSFORM in stages:
        return _forward(Stage.TRANSFORM, BatchExtracted(header=header, records=extracted_records(records)))
    result = unchanged(records, stages)
    return _after_transform(header, result.records, stages, result.counts)


def with_outputs(header: BatchHeader, records: Sequence[Entering], result: Slice) -> Forward:
    """Send the batch to the evaluator, or past it, as if it had been transformed to the outputs of the slice."""
    outputs = result.outputs or {}
    made = Transformed(
        records=tuple(
            [TransformedRecord(each.id, each.input, outputs[each.id], None, each.derived) for each in records]
        ),
        stages=result.stages,
    )
    return _after_transform(header, made.records, result.stages, made.counts)


def to_evaluate(header: BatchHeader, records: Sequence[TransformedRecord], stages: tuple[Stage, ...]) -> Forward:
    """Send the batch to the evaluator, or to the loader where that is not among `stages`."""
    return _after_transform(header, records, stages, {})


def _after_transform(
    header: BatchHeader, records: Sequence[TransformedRecord], stages: tuple[Stage, ...], counts: Mapping[str, int]
) -> Forward:
    """Send transformed records on, as `to_evaluate` does. `counts` is what the tally of the header lacks yet."""
    if Stage.EVALUATE in stages:
        return _forward(Stage.EVALUATE, BatchTransformed(header=_counted(header, counts), records=records))
    result = passed_unscored(records)
    return to_load(_counted(header, {**counts, **result.counts}), result.records)


def to_load(header: BatchHeader, records: Sequence[EvaluatedRecord]) -> Forward:
    """Send the batch to the loader."""
    return _forward(Stage.LOAD, BatchEvaluated(header=header, records=records))


def _forward(stage: Stage, batch: BatchExtracted | BatchTransformed | BatchEvaluated) -> Forward:
    header = batch.header
    return Forward(header, (Outgoing(flow.work(stage, header.pipeline), batch),) if batch.records else ())


def next_header(header: BatchHeader, stage: Stage, result: StageResult, calls: tuple[Calls, ...] = ()) -> BatchHeader:
    """Return the header with the tally after this stage."""
    return _counted(header, {**result.counts, **advanced(calls, stage), **ends(result.kept)})


def _counted(header: BatchHeader, more: Mapping[str, float]) -> BatchHeader:
    return replaced(header, tally=header.tally.plus(**more)) if more else header


def ends(kept: Sequence[KeptRecord]) -> dict[str, int]:
    """Return how many records were kept, by the field of the tally that counts them."""
    counts: dict[str, int] = {}
    for record in kept:
        counts[record.outcome] = counts.get(record.outcome, 0) + 1
    return counts
