"""A transformed batch in; the records that passed, those kept back, and every score out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.caching.plan_cache import PlanCache
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchEvaluated, BatchTransformed, EvaluatedRecord, KeptRecord, TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.run.gates import Verdict
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.domain.values.plural import counted
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.user_code.narrowing import narrowed
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.record_retry import retried
from loom_common.user_code.threads import Threads
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_common.worker.stage_result import StageResult, kept_for_error
from loom_evaluator.results import RecordResult
from loom_evaluator.runner import EvaluatorRunner

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
        models: JournalledModels | None = None,
    ) -> None:
        """`models`: for evaluators that ask one."""
        self._plans = plans
        self._models = models
        self._isolation = isolation or Isolation(MemoryMarks(), Stage.EVALUATE)
        self._threads = threads or Threads()
        self._project = project
        self._panels: OrderedDict[str, EvaluatorRunner | None] = OrderedDict()
        self._making = asyncio.Lock()

    async def __call__(self, message: Message, context: Context) -> list[Outgoing]:
        """Raises `PermanentError` where an evaluator or gate cannot be made, a model refuses access, or a record fails
        under `abort`; `TransientError` where a model or the journal is away for now, or the batch takes too long;
        `WorkerWornOut` where too much of it hangs."""
        batch = cast("BatchTransformed", message)
        plan = await self._plans.get(batch.header.plan)
        context.usage.prices = plan.pipeline.prices
        panel = await self._panel(batch.header.plan, plan)
        limits, config = plan.pipeline.timeouts, plan.pipeline.evaluate
        if panel is None or config is None:
            return _let_through(batch, context)
        began = perf_counter()
        seconds = min(durations.seconds(limits.batch), durations.seconds(limits.evaluate))
        async with within(seconds, f"A batch of {counted(len(batch.records), 'record')}", "timeouts.batch"):
            judgements = await self._judged(batch, panel, config, context)
        if self._models is not None:
            await self._models.judged(batch.header.run_id, [record.id for record in batch.records], context.usage)
        result = StageResult(
            batch.header,
            Stage.EVALUATE,
            context,
            seconds=perf_counter() - began,
            kept=[kept for judgement in judgements if (kept := _kept(judgement, config)) is not None],
            evaluations=[evaluation for judgement in judgements for evaluation in judgement.evaluations],
        )
        passed = _passed(judgements)
        result.advanced |= {
            "passed": len(passed),
            "unscored": sum(not judgement.scored for judgement in judgements),
        }
        forward = BatchEvaluated(header=result.next_header, records=passed) if passed else None
        return result.messages(forward)

    async def _judged(
        self, batch: BatchTransformed, panel: EvaluatorRunner, config: EvaluateConfig, context: Context
    ) -> list[RecordResult]:
        async def attempt(records: Sequence[TransformedRecord], again: int) -> list[RecordResult]:
            return await panel.judge(batch.header.run_id, records, context, again)

        async def work(records: Sequence[TransformedRecord]) -> list[RecordResult]:
            return await narrowed(records, tried, _kept_away)

        async def tried(records: Sequence[TransformedRecord]) -> list[RecordResult]:
            return await retried(
                records,
                attempt,
                failed=_may_be_tried_again,
                joined=lambda _, later: later,
                max_attempts=config.max_attempts if config.on_failure == "retry" else 1,
                clock=context.clock,
            )

        if panel.risk is None:
            return await work(batch.records)
        return await self._isolation.each(
            batch.header.batch_id, batch.records, work, _kept_away, panel.risk, context.attempt
        )

    async def _panel(self, plan_hash: str, plan: Plan) -> EvaluatorRunner | None:
        async with self._making:
            if plan_hash not in self._panels:
                self._panels[plan_hash] = await asyncio.to_thread(self._made, plan)
                if len(self._panels) > _PANELS:
                    self._panels.popitem(last=False)
            self._panels.move_to_end(plan_hash)
            return self._panels[plan_hash]

    def _made(self, plan: Plan) -> EvaluatorRunner | None:
        """Blocks while it imports what the evaluators are made of."""
        if (evaluate := plan.pipeline.evaluate) is None:
            return None
        seconds = durations.seconds(plan.pipeline.timeouts.record)
        return EvaluatorRunner(
            evaluate,
            self._project / plan.base,
            self._threads,
            seconds,
            models=self._models,
            reuse=plan.reuse,
            providers=plan.pipeline.providers,
            pipeline=plan.pipeline.name,
        )


def _kept_away(record: TransformedRecord, error: RecordError) -> RecordResult:
    return RecordResult(record, (), (), error)


def _may_be_tried_again(judgement: RecordResult) -> bool:
    """Not what hung: each further try would leave one more thread behind."""
    return isinstance(judgement.outcome, RecordError) and judgement.outcome.code != TIMEOUT


def _let_through(batch: BatchTransformed, context: Context) -> list[Outgoing]:
    """Every record, unscored."""
    passed = tuple(
        EvaluatedRecord(id=record.id, input=record.input, output=record.output, answered_by=record.answered_by)
        for record in batch.records
    )
    result = StageResult(batch.header, Stage.EVALUATE, context, advanced={"passed": len(passed)})
    return result.messages(BatchEvaluated(header=result.next_header, records=passed) if passed else None)


def _passed(judgements: Sequence[RecordResult]) -> tuple[EvaluatedRecord, ...]:
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


def _kept(judgement: RecordResult, config: EvaluateConfig) -> KeptRecord | None:
    """The record as it is kept back; None where it passed."""
    record, outcome = judgement.record, judgement.outcome
    if isinstance(outcome, RecordError):
        tries = config.max_attempts if config.on_failure == "retry" and outcome.code != TIMEOUT else 1
        kept = kept_for_error(
            record.id, outcome, config.on_failure, input=record.input, output=record.result, tries=tries
        )
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


def _values(judgement: RecordResult) -> dict[str, float]:
    return {score.name: score.value for score in judgement.scores}
