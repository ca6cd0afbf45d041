"""Implements `ai`, which makes a prompt for each record and asks for an answer of the declared shape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from loom_ai import word_vectors
from loom_ai.answers.multi_record import Part, Shaped, ask_together
from loom_ai.answers.multi_record import Question as SharedQuestion
from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import Reply, ask, read, see_its_length
from loom_ai.attachments.taken import see_that_they_are_taken
from loom_ai.batches.pending import all_there, or_pending, told_unless_pending
from loom_ai.budget.judging_cost import JudgingCost
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.usage import NOTHING
from loom_ai.ports import ModelCall, Payer
from loom_ai.rounds.asking import gravest
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.question.template import Question, QuestionTemplate
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.durations import seconds
from loom_common.errors import BreakerOpen, RecordError, Timeout, TransientError, UpstreamUnusable
from loom_common.user_code.poison_isolation import MODEL_CALLS, USER_CODE
from loom_common.user_code.threads import Threads
from loom_common.worker.context import Context
from loom_common.worker.usage import Usage
from loom_transformer.attachments.attaching import Attaching
from loom_transformer.nearest_examples import NearestExamples, ShownExamples
from loom_transformer.outcome import TransformOutcome
from loom_transformer.transforms.asking.calls import QuestionCalls
from loom_transformer.transforms.asking.several_calls import SeveralCalls
from loom_transformer.transforms.asking.tools import Tools

_RENDER_SECONDS = 10.0
"""Says how long a prompt may take to be rendered, where `timeouts.record` is longer: most take less than a millisecond,
and one that loops fills the memory meanwhile."""


class AiTransform:
    """Asks the plan's model, through the journal. How many calls are in flight is the models' to limit."""

    def __init__(
        self,
        plan: Plan,
        config: AiTransformConfig,
        models: JournalledModels,
        shape: Shape | None,
        threads: Threads | None = None,
        folder: Path | None = None,
        purpose: str = "transform",
        attaching: Callable[[Collection[str]], Attaching] | None = None,
    ) -> None:
        """Take tools from `folder`, which is that of the pipeline, and the `purpose` that calls are entered with in the
        books; `attaching` makes what reads attachments for the protocols of the models. Raises `PermanentError` where
        the prompt is no template, a file did not travel with the plan, a tool cannot be used, or a model takes no such
        attachments, or has no batches that the pipeline asks for."""
        self._pipeline = plan.pipeline.name
        self._config = config
        self._question = QuestionTemplate(plan, config, word_vectors.index)
        self._judging = JudgingCost(plan.pipeline, models.prices)
        self._calls = QuestionCalls(plan, config, self._question, shape, self._judging, purpose)
        see_that_they_are_taken(config.attachments, self._calls.protocols)
        self._attaching = None if attaching is None else attaching(self._calls.protocols)
        self._at_once = self._calls.records_at_once
        self._models = models
        self._shape = shape
        self._reuse = Reuse(enabled=plan.reuse and config.cache.enabled, max_age=config.cache.max_age)
        self._patience = seconds(plan.pipeline.timeouts.record)
        self._strict = config.answer == "strict"
        self._threads = threads or Threads()
        self._remembers = config.fallback is not None and config.fallback.cached
        self._nearest = NearestExamples(plan, config, self._question.examples, models, self._reuse, self._patience)
        self._several = SeveralCalls(plan, config, models, self._reuse, self._patience)
        self._tools = Tools(config.tools, config.max_rounds, folder or Path(), models, self._threads, trial=plan.beside)
        self.risk = USER_CODE if config.tools else MODEL_CALLS

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        context.progress.begin(len(records), answers=len(records), at_once=self._at_once)
        began = perf_counter()
        payers = [Payer(run_id, record.id, context.usage) for record in records]
        rendered = await self._rendered(records, payers, context.attempt)
        prompts = dict(zip((record.id for record in records), rendered, strict=True))
        await self._models.set_apart(run_id, self._judged(prompts, context.usage), context.usage)
        shared = self._config.records_per_call > 1 and not again
        parts = await self._together(payers, prompts, context.attempt) if shared else {}
        each = (perf_counter() - began) / max(1, len(parts))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        or_pending(
                            self._after(parts[payer.record_id], each, payer, prompts[payer.record_id], context.attempt)
                            if payer.record_id in parts
                            else self._one(payer, prompts[payer.record_id], again, context.attempt)
                        )
                    )
                    for payer in payers
                ]
                for task in tasks:
                    task.add_done_callback(lambda task: told_unless_pending(task, context.progress.one_answered))
        except ExceptionGroup as failures:
            # One record's failure ended the others.
            raise gravest(failures) from None
        outcomes = all_there([task.result() for task in tasks])
        failed = [record.id for record, outcome in zip(records, outcomes, strict=True) if outcome.error is not None]
        await self._models.judged(run_id, failed, context.usage, never=True)
        return outcomes

    def _judged(self, prompts: Mapping[str, Question | RecordError], usage: Usage) -> dict[str, float]:
        """Return what judging each record will cost, in USD; nothing without a budget, or where no evaluator asks a
        model."""
        if usage.budget is None or not self._judging.judges:
            return {}
        asked = {name: each.prompt for name, each in prompts.items() if isinstance(each, Question)}
        return {name: self._judging.of(name, prompt) for name, prompt in asked.items()}

    async def _rendered(
        self, records: Sequence[ExtractedRecord], payers: Sequence[Payer], attempt: Attempt
    ) -> list[Question | RecordError]:
        """Render the question of each record, in order, or say why there is none. A template can compute for as long as
        it likes: it does so in a thread, where a limit of time reaches it."""
        limit = min(self._patience, _RENDER_SECONDS)
        words = f"The prompt was not rendered within {limit:g} s: see its loops, and `timeouts.record`"
        chosen = await self._nearest.chosen(records, payers, attempt)
        return await self._threads.each(
            list(zip(records, chosen, strict=True)),
            self._question_of,
            limit,
            late=lambda _: RecordError(words, code=TIMEOUT),
        )

    def _question_of(self, asked: tuple[ExtractedRecord, ShownExamples]) -> Question | RecordError:
        record, chosen = asked
        if isinstance(chosen, RecordError):
            return chosen
        try:
            return self._question.render(record.input, chosen)
        except RecordError as unrendered:
            return unrendered

    async def _together(
        self, payers: Sequence[Payer], prompts: Mapping[str, Question | RecordError], attempt: Attempt
    ) -> dict[str, Part]:
        """Return what shared calls hold for the records, by id; nothing for those whose prompt cannot be made, and none
        at all where the model is away and others may answer."""
        asked = [(payer, prompt) for payer in payers if not isinstance(prompt := prompts[payer.record_id], RecordError)]
        questions = [
            SharedQuestion(self._calls.first(prompt, payer.record_id), payer)
            for payer, prompt in asked
            if prompt.before == asked[0][1].before  # one with a system prompt of its own is asked alone
        ]
        count = self._config.records_per_call
        try:
            parts = await ask_together(
                self._models, questions, count, Shaped(self._shape, self._strict), self._reuse, self._patience
            )
        except UpstreamUnusable:
            if len(self._calls.endpoints) == 1:
                raise
            return {}
        except TransientError:
            if len(self._calls.endpoints) == 1 and not attempt.last:
                raise
            return {}
        return {question.payer.record_id: part for question, part in zip(questions, parts, strict=True)}

    async def _after(
        self, part: Part, took: float, payer: Payer, prompt: Question | RecordError, attempt: Attempt
    ) -> TransformOutcome:
        """Return the outcome of a record that shared a call."""
        if part.output is None or isinstance(prompt, RecordError):
            alone = await self._one(payer, prompt, 0, attempt)
            return replace(alone, seconds=alone.seconds + took, spent=alone.spent + part.spent)
        if self._remembers:
            call = self._calls.first(prompt, payer.record_id)
            await self._models.remember(self._pipeline, payer, call, part.output)
        return TransformOutcome(part.output, took, spent=part.spent, waits=True)

    async def _one(
        self, payer: Payer, prompt: Question | RecordError, again: int, attempt: Attempt
    ) -> TransformOutcome:
        began = perf_counter()
        if isinstance(prompt, RecordError):
            return TransformOutcome(None, perf_counter() - began, prompt, waits=True)
        if not prompt.attachments or self._attaching is None:
            return await self._answered(payer, prompt, again, attempt, began)
        try:
            async with self._attaching.attached(prompt) as attached:
                return await self._answered(payer, attached, again, attempt, began)
        except RecordError as error:
            unread = _with_prompt(error, prompt, self._calls.model)
            return TransformOutcome(None, perf_counter() - began, unread, waits=True)

    async def _answered(
        self, payer: Payer, prompt: Question, again: int, attempt: Attempt, began: float
    ) -> TransformOutcome:
        spent, trouble, failure = NOTHING, None, None
        for endpoint in self._calls.endpoints:
            call = self._calls.of(endpoint, prompt, again, payer.record_id)
            try:
                reply = await self._asked(call, payer)
            except (TransientError, UpstreamUnusable) as away:
                # One that may come back is waited for, whatever became of the others.
                trouble = away if trouble is None or isinstance(trouble, UpstreamUnusable) else trouble
                continue
            spent += reply.spent
            if reply.output is not None:
                if self._remembers:
                    await self._models.remember(self._pipeline, payer, call, reply.output)
                other = None if endpoint is self._calls.endpoints[0] else endpoint.model
                return TransformOutcome(
                    self._several.output_of(reply), perf_counter() - began, spent=spent, answered_by=other, waits=True
                )
            failure = failure or (reply.error and _with_prompt(reply.error, prompt, endpoint.model))
        if isinstance(trouble, UpstreamUnusable):
            # Where another model could not answer either, that is the record's own affair.
            if failure is None:
                raise trouble
        elif isinstance(trouble, BreakerOpen) or (trouble is not None and not attempt.last):
            raise trouble
        failure = failure or _given_up(trouble, prompt, self._calls.model)
        output, source = await self._remembered(payer, self._calls.first(prompt, payer.record_id))
        error = failure if output is None else None
        return TransformOutcome(output, perf_counter() - began, error, spent, source, waits=True)

    async def _asked(self, call: ModelCall, payer: Payer) -> Reply:
        tools = self._tools.of(payer)

        async def once(call: ModelCall) -> Reply:
            return await ask(
                self._models,
                call,
                payer,
                self._shape,
                self._reuse,
                self._patience,
                strict=self._strict,
                tools=tools,
                longest=self._config.max_characters,
            )

        return await self._several.asking(once, payer)(call)

    async def _remembered(self, payer: Payer, call: ModelCall) -> tuple[dict[str, Any] | None, str | None]:
        """Return the last good answer for the record, and where it comes from."""
        if self._remembers:
            for entry in await self._models.recall(self._pipeline, payer, call):
                try:
                    see_its_length(entry.answer, self._config.max_characters)
                    return read(
                        entry.answer, self._shape, strict=self._strict
                    ), f"cached answer of {entry.payer.run_id}"
                except RecordError:  # it is no good answer, or one of a shape that is not asked for any more
                    continue
        return None, None


def _given_up(trouble: TransientError | UpstreamUnusable | None, prompt: Question, model: str) -> RecordError:
    """Only this record is kept back for it: its neighbours were answered."""
    code = TIMEOUT if isinstance(trouble, Timeout) else "unavailable"
    return _with_prompt(RecordError(f"{trouble} (after the last attempt)", code=code), prompt, model)


def _with_prompt(error: RecordError, prompt: Question, model: str) -> RecordError:
    return RecordError(str(error), code=error.code, details={"model": model, **error.details, "prompt": prompt.shown})
