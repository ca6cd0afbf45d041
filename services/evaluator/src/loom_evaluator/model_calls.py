"""Runs the evaluators that ask models. All questions about a batch are asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from loom_ai.batches.pending import all_there, or_pending, told_unless_pending
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import Payer
from loom_ai.rounds.asking import gravest
from loom_common.contracts.v1 import Interaction, TransformedRecord
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import BreakerOpen, RecordError, Timeout, TransientError
from loom_common.worker.context import Context
from loom_evaluator.evaluation_call import EvaluationCall
from loom_evaluator.evaluators.opinion import ModelRule
from loom_evaluator.results import Answer


@dataclass(frozen=True, slots=True)
class ModelEvaluations:
    """Asks the questions of a plan's evaluators. `models` limits how many of them are in flight."""

    models: JournalledModels
    rules: Mapping[str, ModelRule]
    """Holds the rules by the name of the evaluator."""
    reuse: Reuse
    patience: float
    """Seconds one answer may take, all attempts added up."""
    keep_interactions: bool = True
    sealed: bool = False
    """Tells whether the records hold sensitive values."""
    at_once: int | None = None
    """The number of questions that a worker may have in flight together; None where no provider's `concurrency` is
    configured."""

    async def about(
        self,
        run_id: str,
        records: Sequence[TransformedRecord],
        context: Context,
        again: int,
        decided: Sequence[Mapping[str, Answer]] | None = None,
    ) -> list[dict[str, Answer]]:
        """Return the answers about each record, in order, by evaluator. Each is a part of the context's progress. What
        was `decided` about a record before is not asked.

        Raises `AnswersPending` where a batch answers later, `TransientError` where a model is away and the batch should
        come again, `PermanentError` where it refuses access. After the last attempt, trouble is the record's own."""
        decided = [{} for _ in records] if decided is None else decided
        for _ in (name for each in decided for name in each):
            context.progress.one_answered()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    {
                        name: group.create_task(
                            or_pending(
                                self._one(rule, record, Payer(run_id, record.id, context.usage), context.attempt, again)
                            )
                        )
                        for name, rule in self.rules.items()
                        if name not in known
                    }
                    for record, known in zip(records, decided, strict=True)
                ]
                for task in (task for each in tasks for task in each.values()):
                    task.add_done_callback(lambda task: told_unless_pending(task, context.progress.one_answered))
        except ExceptionGroup as failures:
            raise gravest(failures) from None
        answers = iter(all_there([task.result() for each in tasks for task in each.values()]))
        return [{**known, **{name: next(answers) for name in each}} for each, known in zip(tasks, decided, strict=True)]

    async def _one(
        self, rule: ModelRule, record: TransformedRecord, payer: Payer, attempt: Attempt, again: int
    ) -> Answer:
        began = perf_counter()
        evaluation_call = EvaluationCall(
            self.models, payer, reuse=self.reuse, patience=self.patience, again=again, sealed=self.sealed
        )
        try:
            opinion = await rule(record, evaluation_call)
        except RecordError as error:
            return Answer(error, perf_counter() - began, self._kept(evaluation_call))
        except TransientError as trouble:
            if isinstance(trouble, BreakerOpen) or not attempt.last:
                raise
            code = TIMEOUT if isinstance(trouble, Timeout) else "unavailable"
            return Answer(RecordError(f"{trouble} (after the last attempt)", code=code), perf_counter() - began)
        return Answer(opinion, perf_counter() - began, self._kept(evaluation_call))

    def _kept(self, evaluation_call: EvaluationCall) -> tuple[Interaction, ...]:
        return tuple(evaluation_call.interactions) if self.keep_interactions else ()
