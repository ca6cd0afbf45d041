"""A transformed batch in; the records that passed, those kept back, and every score out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

from loom_ai.stores.memory_marks import MemoryMarks
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchEvaluated, BatchTransformed, EvaluatedRecord, KeptRecord, TransformedRecord
from loom_common.domain import durations
from loom_common.domain.failing import OnFailure
from loom_common.domain.gates import Verdict
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.pipeline import EvaluateConfig
from loom_common.domain.plan import Plan
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.isolation import Isolation
from loom_common.plans import PlanCache
from loom_common.ports.clock import Clock, SystemClock
from loom_common.retrying import retried
from loom_common.stage_result import StageResult, kept_for_error
from loom_common.threads import Threads
from loom_common.time_limits import within
from loom_evaluator.panel import Judgement, Panel

_PANELS = 32
"""Panels kept ready, one per plan."""


class Evaluator:
    """Scores records and lets their gate decide. Without an `evaluate` section everything passes, unscored."""

    def __init__(
        self,
        plans: PlanCache,
        project: Path,
        isolation: Isolation | None = None,
        threads: Threads | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._plans = plans
        self._isolation = isolation or Isolation(MemoryMarks(), Stage.EVALUATE)
        self._threads = threads or Threads()
        self._clock = clock or SystemClock()
        self._project = project
        self._panels: OrderedDict[str, Panel | None] = OrderedDict()

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `PermanentError` where an evaluator or gate cannot be made, or a record fails under `abort`;
        `Timeout` where the batch takes too long; `WorkerWornOut` where too much of it hangs."""
        batch = cast("BatchTransformed", message)
        plan = await self._plans.get(batch.header.plan)
        panel = await self._panel(batch.header.plan, plan)
        limits, config = plan.pipeline.timeouts, plan.pipeline.evaluate
        if panel is None or config is None:
            return _let_through(batch)
        began = perf_counter()
        seconds = min(durations.seconds(limits.batch), durations.seconds(limits.evaluate))
        async with within(seconds, f"A batch of {len(batch.records)} records", "timeouts.batch"):
            judgements = await self._judged(batch, panel, config)
        result = StageResult(
            batch.header,
            Stage.EVALUATE,
            seconds=perf_counter() - began,
            kept=[kept for judgement in judgements if (kept := _kept(judgement, config.on_failure)) is not None],
            evaluations=[evaluation for judgement in judgements for evaluation in judgement.evaluations],
        )
        passed = _passed(judgements)
        result.advanced["passed"] = len(passed)
        forward = BatchEvaluated(header=result.next_header, records=passed) if passed else None
        return result.messages(forward)

    async def _judged(self, batch: BatchTransformed, panel: Panel, config: EvaluateConfig) -> list[Judgement]:
        async def attempt(records: Sequence[TransformedRecord], _: int) -> list[Judgement]:
            return await panel.judge(records)

        async def work(records: Sequence[TransformedRecord]) -> list[Judgement]:
            return await retried(
                records,
                attempt,
                failed=_may_be_tried_again,
                joined=lambda _, later: later,
                max_attempts=config.max_attempts if config.on_failure == "retry" else 1,
                clock=self._clock,
            )

        if panel.risk is None:
            return await work(batch.records)
        return await self._isolation.each(batch.header.batch_id, batch.records, work, _kept_away, panel.risk)

    async def _panel(self, plan_hash: str, plan: Plan) -> Panel | None:
        if plan_hash in self._panels:
            return self._panels[plan_hash]
        evaluate = plan.pipeline.evaluate
        seconds = durations.seconds(plan.pipeline.timeouts.record)
        folder = self._project / plan.base
        panel = await asyncio.to_thread(Panel, evaluate, folder, self._threads, seconds) if evaluate else None
        self._panels[plan_hash] = panel
        if len(self._panels) > _PANELS:
            self._panels.popitem(last=False)
        return panel


def _kept_away(record: TransformedRecord, error: RecordError) -> Judgement:
    return Judgement(record, (), (), error)


def _may_be_tried_again(judgement: Judgement) -> bool:
    """Not what hung: each further try would leave one more thread behind."""
    return isinstance(judgement.outcome, RecordError) and judgement.outcome.code != TIMEOUT


def _let_through(batch: BatchTransformed) -> list[Outgoing]:
    """Every record, unscored."""
    passed = tuple(
        EvaluatedRecord(id=record.id, input=record.input, output=record.output, answered_by=record.answered_by)
        for record in batch.records
    )
    result = StageResult(batch.header, Stage.EVALUATE, advanced={"passed": len(passed)})
    return result.messages(BatchEvaluated(header=result.next_header, records=passed) if passed else None)


def _passed(judgements: Sequence[Judgement]) -> tuple[EvaluatedRecord, ...]:
    return tuple(
        EvaluatedRecord(
            id=judgement.record.id,
            input=judgement.record.input,
            output=judgement.record.output,
            answered_by=judgement.record.answered_by,
            scores=_values(judgement),
        )
        for judgement in judgements
        if isinstance(judgement.outcome, Verdict) and judgement.outcome.passed
    )


def _kept(judgement: Judgement, on_failure: OnFailure) -> KeptRecord | None:
    """The record as it is kept back; None where it passed."""
    record, outcome = judgement.record, judgement.outcome
    if isinstance(outcome, RecordError):
        kept = kept_for_error(record.id, outcome, on_failure, input=record.input, output=record.result)
        return kept.model_copy(update={"scores": _values(judgement)})
    if outcome.passed:
        return None
    return KeptRecord(
        record_id=record.id,
        outcome="rejected",
        code="gate",
        reason=outcome.reason or "The quality gate did not pass",
        input=record.input,
        output=record.result,
        scores=_values(judgement),
    )


def _values(judgement: Judgement) -> dict[str, float]:
    return {score.name: score.value for score in judgement.scores}
