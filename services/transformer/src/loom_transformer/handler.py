"""Applies a plan's transform to the records of an extracted batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from loom_ai.stores.memory.group_members import MemoryGroupMembers
from loom_common.contracts.v1 import (
    BatchExtracted,
    BatchHeader,
    BatchInSteps,
    CheckCount,
    ExtractedRecord,
    RecordInSteps,
    RecordsAnswered,
    TransformedRecord,
)
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.cascade import CASCADE
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.run.calls import DEAR, Tier
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.stages import visited
from loom_common.domain.values.latency import histogram
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.context import Context
from loom_common.worker.stage_result import HandedOn, Transformed, added, counted, kept_for_error, unchanged
from loom_transformer.contract import held_to_schema
from loom_transformer.grouping import Groups, made_of_groups
from loom_transformer.outcome import Applied, Transform, TransformOutcome, with_its_key
from loom_transformer.recovered import finished, work_of
from loom_transformer.steps.served import Served

if TYPE_CHECKING:
    from loom_transformer.steps.stepping import ChainOfSteps

Given = ExtractedRecord | RecordInSteps
Declare = Callable[[str], Awaitable[None]]
"""Declares the queue of a step on the broker."""


class Transformer:
    """Applies each plan's transform to its batches. Without anything to do, records go on unchanged."""

    def __init__(
        self,
        runner: StageRunner[Transform | None],
        groups: Groups | None = None,
        served: Served | None = None,
        declare: Declare | None = None,
    ) -> None:
        """`groups` keeps the records that steps group; without it, they are kept in memory. `served` says which steps
        with queues of their own are taken here, and `declare` declares such a queue before the first batch is sent to
        it; without these, all steps are taken here."""
        self._runner = runner
        self._groups = groups or Groups(MemoryGroupMembers)
        self._served = served
        self._declare = declare
        self._declared: set[str] = set()

    async def __call__(self, batch: BatchExtracted, context: Context) -> Transformed:
        """Take a batch through the whole transform, in a process that takes all of its steps. Raises what `as_served`
        raises."""
        result = await self.as_served(batch, context)
        assert isinstance(result, Transformed), "every step is taken here"
        return result

    async def as_served(self, batch: BatchExtracted | BatchInSteps, context: Context) -> Transformed | HandedOn:
        """Take a batch through the transform, as far as its steps are taken in this process.

        Raises `TransientError` where a model or the journal is away, or the batch takes too long;
        `PermanentError` where the transform cannot be made, a model refuses access, a record fails under `abort`, or an
        output does not fit a schema that is frozen;
        `WorkerWornOut` where too much of it hangs."""
        plan, transform = await self._runner.of(batch.header.plan)
        if transform is None:
            if isinstance(batch, BatchExtracted):
                return unchanged(batch.records, visited(plan))
            return unchanged([_plain(each) for each in batch.records], visited(plan))
        context.usage.prices = plan.pipeline.prices
        began = perf_counter()
        if isinstance(batch, BatchExtracted):
            for record, step in made_of_groups(plan, batch.records):
                context.steps.derive(step, record.id, 1)
        result = await self._through(plan, transform, batch, context)
        told = result.others if isinstance(result, HandedOn) else result
        told = replace(told, seconds=perf_counter() - began, steps=context.steps.counts())
        return replace(result, others=told) if isinstance(result, HandedOn) else told

    async def _through(
        self, plan: Plan, transform: Transform, batch: BatchExtracted | BatchInSteps, context: Context
    ) -> Transformed | HandedOn:
        """Take a batch through those of its steps that are taken here, as far as they follow one another. A step with a
        queue of its own that no record takes is taken here, too, because it has nothing to do."""
        taken = batch.taken if isinstance(batch, BatchInSteps) else ()
        records: Sequence[Given] = batch.records
        others, wanted = Transformed(records=(), stages=visited(plan)), True
        chain = _begun(plan, transform, batch)
        while True:
            if chain is not None and wanted and not self._takes(chain.queue):
                await self._see_that_there_is_a_queue(chain.queue)
                going = tuple(each for each in records if isinstance(each, RecordInSteps))
                return HandedOn(records=going, step=chain.queue, taken=taken, others=others)
            result, on = await self._once(plan, transform, chain, batch.header, records, taken, context)
            others = added(counted(others, (), context.attempt.number), result)
            if chain is None or chain.following is None or not on:
                return others
            taken, records = (*taken, *chain.steps), [each.going_on for each in on if each.going_on is not None]
            chain = chain.following
            wanted = chain.queue is None or any(each.wanted for each in on)

    def _takes(self, queue: str | None) -> bool:
        return self._served is None or self._served.takes(queue)

    async def _see_that_there_is_a_queue(self, step: str | None) -> None:
        """Declare the queue of a step, once for this process. Raises `DependencyUnavailable`, `AccessRefused`."""
        if step is not None and step not in self._declared and self._declare is not None:
            await self._declare(step)
            self._declared.add(step)

    async def _once(
        self,
        plan: Plan,
        transform: Applied,
        chain: ChainOfSteps | None,
        header: BatchHeader,
        records: Sequence[Given],
        taken: Sequence[str],
        context: Context,
    ) -> tuple[Transformed, list[TransformOutcome]]:
        """Apply a transform, or a chain of its steps. Return what became of the records that leave it, and the
        outcomes of those that go on in further steps."""
        config, keys = plan.pipeline.transform, plan.pipeline.fixed_fields
        work = work_of(chain or transform, header.run_id, plan.pipeline, context)
        place = f"{header.batch_id}/{len(taken)}" if taken else header.batch_id
        made = await self._runner.run(place, records, work, context.attempt, context.clock)
        given = [_plain(each) for each in records]
        leaving = list(_leaving(given, made))
        steps = () if chain is None else chain.steps
        grouped = await self._groups.keep(plan, header, given, [outcome for _, _, outcome in leaving], steps)
        gone = sum(outcome.filtered is not None for _, _, outcome in leaving)
        going = [outcome for _, _, outcome in leaving if outcome.going_on is not None]
        if gone or grouped or going:
            leaving = [each for each in leaving if _has_output(each[2])]
        left = tuple([record for _, record, _ in leaving])
        answered = [with_its_key(given, finished(outcome, config), keys) for given, _, outcome in leaving]
        outcomes, columns = held_to_schema(left, answered, plan)
        result = Transformed(
            records=_transformed(left, outcomes),
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
                for record, outcome in zip(left, outcomes, strict=True)
                if outcome.error is not None
            ],
            columns=columns,
            filtered=gone,
            derived=sum(outcome.derived for outcome in made),
            unnested=sum(outcome.unnested for outcome in made),
            grouped=grouped,
            checks=_cascaded(config, outcomes),
            answered=_answered(left, outcomes),
            stages=visited(plan),
        )
        return result, going


def _begun(plan: Plan, transform: Transform, batch: BatchExtracted | BatchInSteps) -> ChainOfSteps | None:
    """Return the steps that are next for a batch; None for a transform that has none."""
    if not isinstance(plan.pipeline.transform, StepsTransformConfig):
        return None
    from loom_transformer.steps.stepping import StepsTransform

    if not isinstance(transform, StepsTransform):
        return None
    return transform.after(batch.taken) if isinstance(batch, BatchInSteps) else transform.first


def _plain(record: Given) -> ExtractedRecord:
    """Return a record as it came to the first step."""
    if isinstance(record, ExtractedRecord):
        return record
    return ExtractedRecord(record.id, record.input, record.derived)


def _has_output(outcome: TransformOutcome) -> bool:
    """Tell whether a record leaves with an output, or with the error that prevented one."""
    return outcome.filtered is None and outcome.grouped is None and outcome.going_on is None


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
