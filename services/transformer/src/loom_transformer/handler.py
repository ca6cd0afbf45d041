"""Applies a plan's transform to the records of an extracted batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

from loom_ai.stores.memory.group_members import MemoryGroupMembers
from loom_common.contracts.v1 import BatchExtracted, CheckCount, ExtractedRecord, RecordsAnswered, TransformedRecord
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.cascade import CASCADE
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.run.calls import DEAR, Tier
from loom_common.domain.run.stages import visited
from loom_common.domain.values.latency import histogram
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.context import Context
from loom_common.worker.stage_result import Transformed, kept_for_error, unchanged
from loom_transformer.contract import held_to_schema
from loom_transformer.grouping import Groups, made_of_groups
from loom_transformer.outcome import Transform, TransformOutcome, with_its_key
from loom_transformer.recovered import finished, work_of


class Transformer:
    """Applies each plan's transform to its batches. Without anything to do, records go on unchanged."""

    def __init__(self, runner: StageRunner[Transform | None], groups: Groups | None = None) -> None:
        """`groups` keeps the records that steps group; without it, they are kept in memory."""
        self._runner = runner
        self._groups = groups or Groups(MemoryGroupMembers)

    async def __call__(self, batch: BatchExtracted, context: Context) -> Transformed:
        """Raises `TransientError` where a model or the journal is away, or the batch takes too long;
        `PermanentError` where the transform cannot be made, a model refuses access, a record fails under `abort`, or an
        output does not fit a schema that is frozen;
        `WorkerWornOut` where too much of it hangs."""
        header = batch.header
        plan, transform = await self._runner.of(header.plan)
        if transform is None:
            return unchanged(batch.records, visited(plan))
        context.usage.prices = plan.pipeline.prices
        began = perf_counter()
        work = work_of(transform, header.run_id, plan.pipeline, context)
        made = await self._runner.run(header.batch_id, batch.records, work, context.attempt, context.clock)
        config, keys = plan.pipeline.transform, plan.pipeline.fixed_fields
        for record, step in made_of_groups(plan, batch.records):
            context.steps.derive(step, record.id, 1)
        leaving = list(_leaving(batch.records, made))
        grouped = await self._groups.keep(plan, header, batch.records, [outcome for _, _, outcome in leaving])
        gone = sum(outcome.filtered is not None for _, _, outcome in leaving)
        if gone or grouped:
            leaving = [each for each in leaving if each[2].filtered is None and each[2].grouped is None]
        records = tuple([record for _, record, _ in leaving])
        answered = [with_its_key(given, finished(outcome, config), keys) for given, _, outcome in leaving]
        outcomes, columns = held_to_schema(records, answered, plan)
        return Transformed(
            records=_transformed(records, outcomes),
            seconds=perf_counter() - began,
            latency=histogram(each.answered for each in outcomes if each.answered is not None),
            waited=histogram(each.waited for each in outcomes if each.waited is not None),
            kept=[
                kept_for_error(
                    record.id,
                    outcome.error,
                    outcome.on_failure or config.on_failure,
                    input=record.input,
                    output=outcome.output,
                    derived=record.derived,
                )
                for record, outcome in zip(records, outcomes, strict=True)
                if outcome.error is not None
            ],
            columns=columns,
            filtered=gone,
            derived=sum(outcome.derived for outcome in made),
            unnested=sum(outcome.unnested for outcome in made),
            grouped=grouped,
            steps=context.steps.counts(),
            checks=_cascaded(config, outcomes),
            answered=_answered(records, outcomes),
            stages=visited(plan),
        )


def _leaving(
    records: Sequence[ExtractedRecord], outcomes: Sequence[TransformOutcome]
) -> Iterator[tuple[ExtractedRecord, ExtractedRecord, TransformOutcome]]:
    """Yield the records that leave the transform, each after the one of the batch that it is or was made of, and with
    its outcome."""
    for record, outcome in zip(records, outcomes, strict=True):
        if not outcome.unnested:
            yield record, record, outcome
        for part in outcome.parts:
            yield record, part.record, part.outcome


def _cascaded(config: TransformConfig, outcomes: Sequence[TransformOutcome]) -> tuple[CheckCount, ...]:
    """Count the outputs that a cascade made, and those of them that its dear model was asked for."""
    if not isinstance(config, AiTransformConfig) or config.cascade is None:
        return ()
    made = [each for each in outcomes if each.error is None and each.tier is not None]
    return (CheckCount(name=CASCADE, seen=len(made), missed=sum(each.tier == DEAR for each in made)),)


def _answered(records: Sequence[ExtractedRecord], outcomes: Sequence[TransformOutcome]) -> tuple[RecordsAnswered, ...]:
    """Return what gave the outputs of which records, where there was a choice."""
    found: dict[tuple[Tier | None, str], list[str]] = {}
    for record, outcome in zip(records, outcomes, strict=True):
        if outcome.error is None and outcome.answered_by is not None:
            found.setdefault((outcome.tier, outcome.answered_by), []).append(record.id)
    return tuple(
        RecordsAnswered(tier=tier, answered_by=name, record_ids=tuple(ids)) for (tier, name), ids in found.items()
    )


def _transformed(
    records: Sequence[ExtractedRecord], outcomes: Sequence[TransformOutcome]
) -> tuple[TransformedRecord, ...]:
    return tuple(
        TransformedRecord(record.id, record.input, outcome.output, outcome.answered_by, record.derived)
        for record, outcome in zip(records, outcomes, strict=True)
        if outcome.error is None
    )
