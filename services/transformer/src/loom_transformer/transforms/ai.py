"""`ai`: a prompt for each record, an answer of the declared shape for each prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import PurePath
from time import perf_counter

import jinja2

from loom_ai.endpoints import endpoint_of
from loom_ai.journal import JournalledModels, Reuse
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_ai.shape import Shape
from loom_ai.structured import ask
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.plan import Plan
from loom_common.domain.prompt import Prompt
from loom_common.errors import PermanentError, RecordError
from loom_transformer.outcome import Outcome


class AiTransform:
    """Asks the plan's model, through the journal. How many calls are in flight is the models' to limit."""

    def __init__(self, plan: Plan, models: JournalledModels, shape: Shape | None) -> None:
        """Raises `PermanentError` where the prompt is no template or a context file did not travel with the plan."""
        config = plan.pipeline.transform
        self._config = config
        self._prompt = _prompt(plan)
        self._endpoint = endpoint_of(config.model or "", config.base_url)
        self._models = models
        self._shape = shape
        self._reuse = Reuse(enabled=plan.reuse and config.cache.enabled, max_age=config.cache.max_age)

    async def apply(self, run_id: str, records: Sequence[ExtractedRecord]) -> list[Outcome]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(run_id, record)) for record in records]
        except ExceptionGroup as failures:
            # One record's failure ended the others; of several, the one that no retry will mend says most.
            errors = failures.exceptions
            raise next((error for error in errors if isinstance(error, PermanentError)), errors[0]) from None
        return [task.result() for task in tasks]

    async def _one(self, run_id: str, record: ExtractedRecord) -> Outcome:
        began = perf_counter()
        try:
            prompt = self._prompt.render(record.input)
        except RecordError as unrendered:
            return Outcome(None, perf_counter() - began, unrendered)
        reply = await ask(self._models, self._call(prompt), Payer(run_id, record.id), self._shape, self._reuse)
        error = reply.error and _with_prompt(reply.error, prompt, self._endpoint.model)
        return Outcome(reply.output, perf_counter() - began, error, reply.spent)

    def _call(self, prompt: str) -> ModelCall:
        return ModelCall(
            provider=self._endpoint.provider,
            model=self._endpoint.model,
            base_url=self._endpoint.base_url,
            api_key=self._config.api_key,
            messages=(ChatMessage("user", prompt),),
            temperature=self._config.temperature,
            max_tokens=self._config.max_tokens,
            schema=None if self._shape is None else self._shape.schema,
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


def _with_prompt(error: RecordError, prompt: str, model: str) -> RecordError:
    return RecordError(str(error), code=error.code, details={"model": model, **error.details, "prompt": prompt})
