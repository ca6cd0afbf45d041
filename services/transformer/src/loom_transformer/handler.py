"""An extracted batch in; the records with their outputs, those kept back, and the fact of it out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol, cast

from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchExtracted, BatchTransformed, ExtractedRecord, TransformedRecord
from loom_common.domain.definition.failing import OnFailure
from loom_common.domain.definition.transform import TransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.domain.values.latency import histogram
from loom_common.domain.values.plural import counted
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.user_code.narrowing import narrowed
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_common.worker.stage_result import StageResult, kept_for_error
from loom_transformer.outcome import Transform, TransformOutcome, carried, with_its_key
from loom_transformer.recovered import fallen_back, recovered

_TRANSFORMS = 32
"""Transforms kept ready, one per plan."""


class Plans(Protocol):
    """Where plans are."""

    async def get(self, plan_hash: str) -> Plan:
        """The plan of that hash. Raises `PermanentError`, `DependencyUnavailable`."""
        ...


class Transformer:
    """Applies each plan's transform to its batches."""

    def __init__(
        self,
        plans: Plans,
        transform_of: Callable[[Plan], Transform],
        isolation: Isolation | None = None,
    ) -> None:
        self._plans = plans
        self._isolation = isolation or Isolation(MemoryMarks(), Stage.TRANSFORM)
        self._transform_of = transform_of
        self._transforms: OrderedDict[str, Transform] = OrderedDict()
        self._making = asyncio.Lock()

    async def __call__(self, message: Message, context: Context) -> list[Outgoing]:
        """Raises `TransientError` where a model or the journal is away for now, or the batch takes too long;
        `PermanentError` where the transform cannot be made, a model refuses access, or a record fails under `abort`;
        `WorkerWornOut` where too much of it hangs."""
        batch = cast("BatchExtracted", message)
        plan = await self._plans.get(batch.header.plan)
        context.usage.prices = plan.pipeline.prices
        transform = await self._transform(batch.header.plan, plan)
        began = perf_counter()
        limits = plan.pipeline.timeouts
        seconds = min(durations.seconds(limits.batch), durations.seconds(limits.transform))
        async with within(seconds, f"A batch of {counted(len(batch.records), 'record')}", "timeouts.batch"):
            made = await self._outcomes(batch, plan.pipeline.transform, transform, context)
        keys = plan.pipeline.extract.keys
        outcomes = [with_its_key(*pair, keys) for pair in zip(batch.records, made, strict=True)]
        result = _result(batch, outcomes, plan.pipeline.transform.on_failure, perf_counter() - began, context)
        records = _transformed(batch.records, outcomes)
        return result.messages(BatchTransformed(header=result.next_header, records=records) if records else None)

    async def _outcomes(
        self, batch: BatchExtracted, config: TransformConfig, transform: Transform, context: Context
    ) -> list[TransformOutcome]:
        async def work(records: Sequence[ExtractedRecord]) -> list[TransformOutcome]:
            return [carried(each) for each in await narrowed(records, attempt, kept_away)]

        async def attempt(records: Sequence[ExtractedRecord]) -> list[TransformOutcome]:
            return await recovered(transform, batch.header.run_id, records, config, context)

        def kept_away(_: ExtractedRecord, error: RecordError) -> TransformOutcome:
            return fallen_back(TransformOutcome(None, 0.0, error), config)

        if transform.risk is None:
            return await work(batch.records)
        return await self._isolation.each(
            batch.header.batch_id, batch.records, work, kept_away, transform.risk, context.attempt
        )

    async def _transform(self, plan_hash: str, plan: Plan) -> Transform:
        async with self._making:
            if plan_hash not in self._transforms:
                self._transforms[plan_hash] = await asyncio.to_thread(self._transform_of, plan)
                if len(self._transforms) > _TRANSFORMS:
                    self._transforms.popitem(last=False)
            self._transforms.move_to_end(plan_hash)
            return self._transforms[plan_hash]


def _transformed(
    records: Sequence[ExtractedRecord], outcomes: Sequence[TransformOutcome]
) -> tuple[TransformedRecord, ...]:
    return tuple(
        TransformedRecord(id=record.id, input=record.input, output=outcome.output, answered_by=outcome.answered_by)
        for record, outcome in zip(records, outcomes, strict=True)
        if outcome.error is None
    )


def _result(
    batch: BatchExtracted,
    outcomes: Sequence[TransformOutcome],
    on_failure: OnFailure,
    seconds: float,
    context: Context,
) -> StageResult:
    return StageResult(
        batch.header,
        Stage.TRANSFORM,
        context,
        seconds=seconds,
        latency=histogram(each.answered for each in outcomes if each.answered is not None),
        waited=histogram(each.waited for each in outcomes if each.waited is not None),
        kept=[
            kept_for_error(record.id, outcome.error, on_failure, input=record.input)
            for record, outcome in zip(batch.records, outcomes, strict=True)
            if outcome.error is not None
        ],
        advanced={"transformed": sum(outcome.error is None for outcome in outcomes)},
    )
