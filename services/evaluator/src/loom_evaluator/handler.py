"""Scores the records of a transformed batch and lets their gate decide."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from loom_ai.journal.models import JournalledModels
from loom_common.contracts.v1 import BatchTransformed, EvaluatedRecord, KeptRecord, TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.run.gates import Verdict
from loom_common.domain.sequence import in_rounds
from loom_common.domain.values import durations
from loom_common.errors import RecordError
from loom_common.user_code.stage_runner import StageRunner, Work
from loom_common.worker.context import Context
from loom_common.worker.stage_result import Evaluated, kept_for_error, passed_unscored
from loom_evaluator.cascade import counted
from loom_evaluator.results import RecordResult
from loom_evaluator.runner import EvaluatorRunner


class Evaluator:
    """Scores records and lets their gate decide. Without an `evaluate` section everything passes, unscored."""

    def __init__(self, runner: StageRunner[EvaluatorRunner | None], models: JournalledModels | None = None) -> None:
        """Take `models`, which the evaluators ask and whose budgets learn which records are judged."""
        self._runner = runner
        self._models = models

    async def __call__(self, batch: BatchTransformed, context: Context) -> Evaluated:
        """Raises `PermanentError` where an evaluator or gate cannot be made, a model refuses access, or a record fails
        under `abort`; `TransientError` where a model or the journal is away, or the batch takes too long;
        `WorkerWornOut` where too much of it hangs."""
        header = batch.header
        plan, evaluators = await self._runner.of(header.plan)
        context.usage.prices = plan.pipeline.prices
        config = plan.pipeline.evaluate
        if evaluators is None or config is None:
            return passed_unscored(batch.records)
        began = perf_counter()
        work = _work_of(evaluators, header.run_id, config, plan.pipeline, context)
        results = await self._runner.run(header.batch_id, batch.records, work, context.attempt, context.clock)
        if self._models is not None:
            await self._models.judged(header.run_id, [record.id for record in batch.records], context.usage)
        return Evaluated(
            records=_passed(results),
            unscored=sum(not result.scored for result in results),
            seconds=perf_counter() - began,
            kept=[kept for result in results if (kept := _kept(result, config)) is not None],
            checks=counted(evaluators.cascaded, results),
            evaluations=[evaluation for result in results for evaluation in result.evaluations],
        )


def _work_of(
    evaluators: EvaluatorRunner, run_id: str, config: EvaluateConfig, pipeline: Pipeline, context: Context
) -> Work[TransformedRecord, RecordResult]:
    """Return what the evaluators do to the records of a batch, tried again as `on_failure` says."""

    limits = pipeline.timeouts

    async def attempt(records: Sequence[TransformedRecord], again: int) -> list[RecordResult]:
        return await evaluators.judge(run_id, records, context, again)

    return Work(
        attempt=attempt,
        failed=_may_be_tried_again,
        joined=lambda _, later: later,
        kept_away=_kept_away,
        risk=evaluators.risk,
        max_attempts=config.max_attempts if config.on_failure == "retry" else 1,
        seconds=min(durations.seconds(limits.batch), durations.seconds(limits.evaluate)),
        rounds=in_rounds(pipeline.order_by),
    )


def _kept_away(record: TransformedRecord, error: RecordError) -> RecordResult:
    return RecordResult(record, (), (), error)


def _may_be_tried_again(result: RecordResult) -> bool:
    """Refuse what hung: each further try would leave one more thread behind."""
    return isinstance(result.outcome, RecordError) and result.outcome.code != TIMEOUT


def _passed(results: Sequence[RecordResult]) -> tuple[EvaluatedRecord, ...]:
    return tuple(
        EvaluatedRecord(
            id=result.record.id,
            input=result.record.input,
            output=result.record.output,
            answered_by=result.record.answered_by,
            derived=result.record.derived,
            scores=_values(result),
        )
        for result in results
        if isinstance(result.outcome, Verdict) and result.outcome.passed
    )


def _kept(result: RecordResult, config: EvaluateConfig) -> KeptRecord | None:
    """Return the record as it is kept back; None where it passed."""
    record, outcome = result.record, result.outcome
    if isinstance(outcome, RecordError):
        tries = config.max_attempts if config.on_failure == "retry" and outcome.code != TIMEOUT else 1
        kept = kept_for_error(
            record.id,
            outcome,
            config.on_failure,
            input=record.input,
            output=record.result,
            tries=tries,
            derived=record.derived,
        )
        return kept.model_copy(update={"scores": _values(result)})
    if outcome.passed:
        return None
    return KeptRecord(
        record_id=record.id,
        outcome="rejected",
        code="gate",
        reason=outcome.reason or "The quality gate did not pass",
        input=record.input,
        output=record.result,
        scores=_values(result),
        derived=record.derived,
    )


def _values(result: RecordResult) -> dict[str, float]:
    return {score.name: score.value for score in result.scores}
