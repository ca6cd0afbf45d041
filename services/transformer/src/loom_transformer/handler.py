"""An extracted batch in; the records with their outputs, those kept back, and the fact of it out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol, cast

from loom_ai.spending import NOTHING
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchExtracted, BatchTransformed, ExtractedRecord, TransformedRecord
from loom_common.domain.latency import histogram
from loom_common.domain.pipeline import OnFailure
from loom_common.domain.plan import Plan
from loom_common.flow import Stage
from loom_common.stage_result import StageResult, kept_for_error
from loom_transformer.outcome import Outcome, Transform

_TRANSFORMS = 32
"""Transforms kept ready, one per plan."""


class Plans(Protocol):
    """Where plans are."""

    async def get(self, plan_hash: str) -> Plan:
        """The plan of that hash. Raises `PermanentError`, `DependencyUnavailable`."""
        ...


class Transformer:
    """Applies each plan's transform to its batches."""

    def __init__(self, plans: Plans, transform_of: Callable[[Plan], Transform]) -> None:
        self._plans = plans
        self._transform_of = transform_of
        self._transforms: OrderedDict[str, Transform] = OrderedDict()
        self._making = asyncio.Lock()

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `TransientError` where a model or the journal is away for now; `PermanentError` where the transform
        cannot be made, a model refuses access, or a record fails under `abort`."""
        batch = cast("BatchExtracted", message)
        plan = await self._plans.get(batch.header.plan)
        transform = await self._transform(batch.header.plan, plan)
        began = perf_counter()
        outcomes = await transform.apply(batch.header.run_id, batch.records)
        result = _result(batch, outcomes, plan.pipeline.transform.on_failure, perf_counter() - began)
        records = _transformed(batch.records, outcomes)
        return result.messages(BatchTransformed(header=result.next_header, records=records) if records else None)

    async def _transform(self, plan_hash: str, plan: Plan) -> Transform:
        async with self._making:
            if plan_hash not in self._transforms:
                self._transforms[plan_hash] = await asyncio.to_thread(self._transform_of, plan)
                if len(self._transforms) > _TRANSFORMS:
                    self._transforms.popitem(last=False)
            self._transforms.move_to_end(plan_hash)
            return self._transforms[plan_hash]


def _transformed(records: Sequence[ExtractedRecord], outcomes: Sequence[Outcome]) -> tuple[TransformedRecord, ...]:
    return tuple(
        TransformedRecord(id=record.id, input=record.input, output=outcome.output)
        for record, outcome in zip(records, outcomes, strict=True)
        if outcome.error is None
    )


def _result(batch: BatchExtracted, outcomes: Sequence[Outcome], on_failure: OnFailure, seconds: float) -> StageResult:
    spent = sum((outcome.spent for outcome in outcomes), NOTHING)
    return StageResult(
        batch.header,
        Stage.TRANSFORM,
        seconds=seconds,
        latency=histogram(outcome.seconds for outcome in outcomes),
        kept=[
            kept_for_error(record.id, outcome.error, on_failure, input=record.input)
            for record, outcome in zip(batch.records, outcomes, strict=True)
            if outcome.error is not None
        ],
        advanced={
            "transformed": sum(outcome.error is None for outcome in outcomes),
            "calls_made": spent.calls_made,
            "calls_from_cache": spent.calls_from_cache,
            "tokens_in": spent.tokens_in,
            "tokens_out": spent.tokens_out,
            "cost_transform": spent.cost,
        },
    )
