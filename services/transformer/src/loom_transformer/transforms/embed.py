"""Implements `embed`, which has a model turn a text of each record into a vector, many texts in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter

from loom_ai.answers.embeddings import FIELD, Vectors
from loom_ai.answers.multi_record import Part, Question, ask_together
from loom_ai.budget.judging_cost import JudgingCost
from loom_ai.http.endpoints import calls_at_once, endpoints_of
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.usage import NOTHING
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_ai.rounds.asking import side_by_side
from loom_ai.wire.embeddings import single
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.model_options.providers import has_embeddings
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.durations import seconds
from loom_common.errors import BreakerOpen, PermanentError, RecordError, TransientError
from loom_common.user_code.poison_isolation import MODEL_CALLS
from loom_common.user_code.threads import Threads
from loom_common.worker.context import Context
from loom_transformer.outcome import TransformOutcome, given_up

_RENDER_SECONDS = 10.0
_VECTORS = Vectors()


class EmbedTransform:
    """Asks the plan's model for vectors, through the journal. Each text has an entry of its own there, so that it is
    not paid for again, whichever texts it then shares a call with."""

    risk = MODEL_CALLS

    def __init__(
        self, plan: Plan, config: EmbedTransformConfig, models: JournalledModels, threads: Threads | None = None
    ) -> None:
        """Raises `PermanentError` where the text is no template, or the provider has no embeddings that Loom asks
        for."""
        import jinja2

        from loom_common.domain.prompts.prompt import Prompt

        self._config = config
        try:
            self._text = None if config.text is None else Prompt(config.text, {}, plan.params)
        except jinja2.TemplateSyntaxError as error:
            raise PermanentError(f"`transform.text` cannot be read: line {error.lineno}: {error.message}") from error
        [self._endpoint] = endpoints_of(
            (config.model,),
            config.base_url,
            config.api_key,
            None if config.timeout is None else seconds(config.timeout),
            config.rate_limit,
            plan.pipeline.providers,
            config.extras,
        )
        if not has_embeddings(self._endpoint.provider):
            raise PermanentError(
                f"{config.model}: Loom asks for embeddings by OpenAI's protocol, which {self._endpoint.provider} does "
                "not speak. Name an endpoint that does."
            )
        calls = calls_at_once([self._endpoint])
        self._at_once = None if calls is None else calls * config.texts_per_call
        self._models = models
        self._reuse = Reuse(enabled=plan.reuse and config.cache.enabled, max_age=config.cache.max_age)
        self._patience = seconds(plan.pipeline.timeouts.record)
        self._threads = threads or Threads()
        self._sealed = bool(plan.pipeline.sensitive)
        self._judging = JudgingCost(plan.pipeline, models.prices)
        self._length = config.dimensions
        """The length of the vectors, as far as it is known."""

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        context.progress.begin(len(records), answers=len(records), at_once=self._at_once)
        began = perf_counter()
        limit = min(self._patience, _RENDER_SECONDS)
        late = RecordError(f"The text was not rendered within {limit:g} s; see `timeouts.record`", code=TIMEOUT)
        texts = await self._threads.each(records, self._text_of, limit, late=lambda _: late)
        questions = {
            at: Question(self._call(text, again, record.id), Payer(run_id, record.id, context.usage))
            for at, (record, text) in enumerate(zip(records, texts, strict=True))
            if isinstance(text, str)
        }
        await self._models.set_apart(
            run_id, {each.payer.record_id: each.call.judged for each in questions.values()}, context.usage
        )
        vectors = dict(zip(questions, await self._vectors(list(questions.values()), context), strict=True))
        took = (perf_counter() - began) / max(1, len(records))
        outcomes = [
            TransformOutcome(None, took, text, waits=True)
            if isinstance(text, RecordError)
            else self._outcome(vectors[at], took)
            for at, text in enumerate(texts)
        ]
        failed = [record.id for record, outcome in zip(records, outcomes, strict=True) if outcome.error is not None]
        await self._models.judged(run_id, failed, context.usage, never=True)
        return outcomes

    def _text_of(self, record: ExtractedRecord) -> str | RecordError:
        """Return the text that is embedded, or say why there is none: providers refuse empty ones."""
        name, data = self._config.field, record.input
        if name is not None and name not in data:
            there = ", ".join(data) or "no fields"
            return RecordError(f"The field '{name}' is missing; the record has {there}", code="missing_field")
        try:
            text = self._text.render(data) if self._text is not None else data[name or ""]
        except RecordError as unrendered:
            return unrendered
        text = "" if text is None else str(text)
        return text if text.strip() else RecordError("There is no text to embed: it is empty", code="missing_field")

    async def _vectors(self, questions: Sequence[Question], context: Context) -> list[Part | RecordError]:
        """Return the vector for each question, or why it has none."""
        try:
            parts = await ask_together(
                self._models, questions, self._config.texts_per_call, _VECTORS, self._reuse, self._patience
            )
        except TransientError as trouble:
            if isinstance(trouble, BreakerOpen) or not context.attempt.last:
                raise
            parts = [Part(None, NOTHING)] * len(questions)
        return await side_by_side(
            [self._alone(question, part, context) for question, part in zip(questions, parts, strict=True)]
        )

    async def _alone(self, question: Question, part: Part, context: Context) -> Part | RecordError:
        """Ask for a vector alone that a shared call did not bring."""
        found: Part | RecordError = part
        if part.output is None:
            try:
                settled = await self._models.complete(question.call, question.payer, self._reuse, self._patience)
                found = Part(_VECTORS.read(settled.answer), part.spent + settled.spent)
            except RecordError as error:
                found = RecordError(
                    str(error), code=error.code, details={"model": question.call.model, **error.details}
                )
            except TransientError as trouble:
                found = given_up(trouble, context.attempt)
        context.progress.one_answered()
        return found

    def _outcome(self, found: Part | RecordError, took: float) -> TransformOutcome:
        if isinstance(found, RecordError):
            return TransformOutcome(None, took, found, waits=True)
        vector: list[float] = (found.output or {})[FIELD]
        self._length = self._length or len(vector)
        if len(vector) != self._length:
            words = f"The vector has {len(vector)} numbers, and {self._length} were expected"
            error = RecordError(f"{words}. See `dimensions`", code="wrong_dimensions")
            return TransformOutcome(None, took, error, found.spent, waits=True)
        if self._config.normalize:
            vector = _normalized(vector)
        return TransformOutcome({self._config.into: vector}, took, spent=found.spent, waits=True)

    def _call(self, text: str, again: int, record_id: str) -> ModelCall:
        endpoint = self._endpoint
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            messages=(ChatMessage("user", text),),
            temperature=None,
            embedding=True,
            dimensions=self._config.dimensions,
            purpose="embed",
            again=again,
            timeout=endpoint.timeout,
            rate_limit=endpoint.rate_limit,
            concurrency=endpoint.concurrency,
            served_by=endpoint.served_by,
            judged=self._judging.of(record_id, text),
            extras=endpoint.extras,
            sealed=self._sealed,
        )


def _normalized(vector: Sequence[float]) -> list[float]:
    """Return the vector scaled to the length 1, in numbers of 32 bits; one of zeros as it is."""
    length = math.sqrt(sum(number * number for number in vector))
    return [single(number / length) for number in vector] if length else list(vector)
