"""`ai`: a prompt for each record, an answer of the declared shape for each prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import PurePath
from time import perf_counter
from typing import Any

import jinja2

from loom_ai.endpoints import Endpoint, endpoint_of
from loom_ai.journal import JournalledModels, Reuse
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_ai.shape import Shape
from loom_ai.spending import NOTHING
from loom_ai.structured import ask, read
from loom_common import attempts
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.durations import seconds
from loom_common.domain.marks import TIMEOUT
from loom_common.domain.plan import Plan
from loom_common.domain.prompt import Prompt
from loom_common.errors import BreakerOpen, PermanentError, RecordError, Timeout, TransientError
from loom_common.isolation import MODEL_CALLS
from loom_transformer.outcome import Outcome


class AiTransform:
    """Asks the plan's model, through the journal. How many calls are in flight is the models' to limit."""

    risk = MODEL_CALLS

    def __init__(self, plan: Plan, models: JournalledModels, shape: Shape | None) -> None:
        """Raises `PermanentError` where the prompt is no template or a context file did not travel with the plan."""
        config = plan.pipeline.transform
        others = config.fallback.models if config.fallback else ()
        self._pipeline = plan.pipeline.name
        self._config = config
        self._prompt = _prompt(plan)
        self._endpoints = [endpoint_of(model, config.base_url) for model in (config.model or "", *others)]
        self._models = models
        self._shape = shape
        self._reuse = Reuse(enabled=plan.reuse and config.cache.enabled, max_age=config.cache.max_age)
        self._patience = seconds(plan.pipeline.timeouts.record)
        self._remembers = config.fallback is not None and config.fallback.cached

    async def apply(self, run_id: str, records: Sequence[ExtractedRecord], again: int = 0) -> list[Outcome]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(Payer(run_id, record.id), record, again)) for record in records]
        except ExceptionGroup as failures:
            # One record's failure ended the others; of several, the one that no retry will mend says most, and an
            # open breaker more than the failures that opened it.
            raise min(failures.exceptions, key=_rank) from None
        return [task.result() for task in tasks]

    async def _one(self, payer: Payer, record: ExtractedRecord, again: int) -> Outcome:
        began = perf_counter()
        try:
            prompt = self._prompt.render(record.input)
        except RecordError as unrendered:
            return Outcome(None, perf_counter() - began, unrendered)
        spent, trouble, failure = NOTHING, None, None
        for endpoint in self._endpoints:
            call = self._call(endpoint, prompt, again)
            try:
                reply = await ask(self._models, call, payer, self._shape, self._reuse, self._patience)
            except TransientError as away:
                trouble = trouble or away
                continue
            spent += reply.spent
            if reply.output is not None:
                if self._remembers:
                    await self._models.remember(self._pipeline, payer, call, reply.output)
                other = None if endpoint is self._endpoints[0] else endpoint.model
                return Outcome(reply.output, perf_counter() - began, spent=spent, answered_by=other)
            failure = failure or (reply.error and _with_prompt(reply.error, prompt, endpoint.model))
        if isinstance(trouble, BreakerOpen) or (trouble is not None and not attempts.current.get().last):
            raise trouble
        failure = failure or _given_up(trouble, prompt, self._endpoints[0].model)
        output, source = await self._remembered(payer, self._call(self._endpoints[0], prompt, 0))
        error = failure if output is None else None
        return Outcome(output, perf_counter() - began, error, spent, source)

    async def _remembered(self, payer: Payer, call: ModelCall) -> tuple[dict[str, Any] | None, str | None]:
        """The last good answer for the record, and where it comes from."""
        if self._remembers:
            for entry in await self._models.recall(self._pipeline, payer, call):
                try:
                    return read(entry.answer, self._shape), f"cached answer of {entry.payer.run_id}"
                except RecordError:  # no good answer, or one of a shape that is not asked for any more
                    continue
        return None, None

    def _call(self, endpoint: Endpoint, prompt: str, again: int) -> ModelCall:
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=self._config.api_key,
            messages=(ChatMessage("user", prompt),),
            temperature=self._config.temperature,
            max_tokens=self._config.max_tokens,
            schema=None if self._shape is None else self._shape.schema,
            again=again,
            timeout=None if self._config.timeout is None else seconds(self._config.timeout),
        )


def _prompt(plan: Plan) -> Prompt:
    config = plan.pipeline.transform
    missing = [path for path in config.context if path not in plan.files]
    if missing:
        raise PermanentError(f"The run's plan lacks the context files {', '.join(missing)}. Start the run again.")
    context = {PurePath(path).stem: plan.files[path] for path in config.context}
    try:
        return Prompt(plan.text_of(config.prompt or ""), context, plan.params)
    except jinja2.TemplateSyntaxError as error:
        raise PermanentError(f"The prompt cannot be read: line {error.lineno}: {error.message}") from error


def _rank(error: Exception) -> int:
    return 0 if isinstance(error, PermanentError) else 1 if isinstance(error, BreakerOpen) else 2


def _given_up(trouble: TransientError | None, prompt: str, model: str) -> RecordError:
    """Only this record is kept back for it: its neighbours were answered."""
    code = TIMEOUT if isinstance(trouble, Timeout) else "unavailable"
    return _with_prompt(RecordError(f"{trouble} (after the last attempt)", code=code), prompt, model)


def _with_prompt(error: RecordError, prompt: str, model: str) -> RecordError:
    return RecordError(str(error), code=error.code, details={"model": model, **error.details, "prompt": prompt})
