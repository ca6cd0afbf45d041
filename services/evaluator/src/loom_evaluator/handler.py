"""A transformed batch in; the records that passed, those kept back, and every score out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchEvaluated, BatchTransformed, EvaluatedRecord, KeptRecord, TransformedRecord
from loom_common.domain.gates import Verdict
from loom_common.domain.pipeline import OnFailure
from loom_common.domain.plan import Plan
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_common.plans import PlanCache
from loom_common.stage_result import StageResult, kept_for_error
from loom_evaluator.panel import Judgement, Panel

_PANELS = 32
"""Panels kept ready, one per plan."""


class Evaluator:
    """Scores records and lets their gate decide. Without an `evaluate` section everything passes, unscored."""

    def __init__(self, plans: PlanCache, project: Path) -> None:
        self._plans = plans
        self._project = project
        self._panels: OrderedDict[str, Panel | None] = OrderedDict()

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `PermanentError` where an evaluator or gate cannot be made, or a record fails under `abort`."""
        batch = cast("BatchTransformed", message)
        plan = await self._plans.get(batch.header.plan)
        panel = await self._panel(batch.header.plan, plan)
        began = perf_counter()
        judgements = await panel.judge(batch.records) if panel else [_unjudged(record) for record in batch.records]
        on_failure = plan.pipeline.evaluate.on_failure if plan.pipeline.evaluate else "quarantine"
        result = StageResult(
            batch.header,
            Stage.EVALUATE,
            seconds=perf_counter() - began,
            kept=[kept for judgement in judgements if (kept := _kept(judgement, on_failure)) is not None],
            evaluations=[evaluation for judgement in judgements for evaluation in judgement.evaluations],
        )
        passed = _passed(judgements)
        result.advanced["passed"] = len(passed)
        forward = BatchEvaluated(header=result.next_header, records=passed) if passed else None
        return result.messages(forward)

    async def _panel(self, plan_hash: str, plan: Plan) -> Panel | None:
        if plan_hash in self._panels:
            return self._panels[plan_hash]
        evaluate = plan.pipeline.evaluate
        panel = await asyncio.to_thread(Panel, evaluate, self._project / plan.base) if evaluate else None
        self._panels[plan_hash] = panel
        if len(self._panels) > _PANELS:
            self._panels.popitem(last=False)
        return panel


def _unjudged(record: TransformedRecord) -> Judgement:
    return Judgement(record, (), (), Verdict(passed=True))


def _passed(judgements: Sequence[Judgement]) -> tuple[EvaluatedRecord, ...]:
    return tuple(
        EvaluatedRecord(
            id=judgement.record.id,
            input=judgement.record.input,
            output=judgement.record.output,
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
