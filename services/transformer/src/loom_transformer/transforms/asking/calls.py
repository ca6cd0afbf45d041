"""Makes the calls that a question is asked by: of which models, in which order, and with which options."""

from __future__ import annotations

from dataclasses import replace

from loom_ai.answers.shape import Shape
from loom_ai.batches.protocols.support import see_that_it_speaks_batches
from loom_ai.budget.judging_cost import JudgingCost
from loom_ai.http.endpoints import Endpoint, calls_at_once, endpoints_of
from loom_ai.ports import ChatMessage, ModelCall
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.asking import refused_option
from loom_common.domain.model_options.providers import has_tools, protocol_of
from loom_common.domain.question.template import Question, QuestionTemplate
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.durations import seconds
from loom_common.errors import PermanentError


class QuestionCalls:
    """Makes the call of a question for each model that may answer it: the configured one, and its fallbacks."""

    def __init__(
        self,
        plan: Plan,
        config: AiTransformConfig,
        template: QuestionTemplate,
        shape: Shape | None,
        judging: JudgingCost,
        purpose: str,
    ) -> None:
        """Take the `purpose` that calls of the configured model are entered with in the books. Raises `PermanentError`
        where a model takes no option that the pipeline sets, no tools, or has no batches that the pipeline asks for."""
        others = config.fallback.models if config.fallback else ()
        self._config = config
        self._template = template
        self._schema = None if shape is None else shape.schema
        self._judging = judging
        self._purpose = purpose
        self._sealed = bool(plan.pipeline.sensitive)
        self.endpoints = endpoints_of(
            (config.model, *others),
            config.base_url,
            config.api_key,
            None if config.timeout is None else seconds(config.timeout),
            config.rate_limit,
            plan.pipeline.providers,
            config.extras,
        )
        asking = replace(config.asking, logprobs=config.logprobs is not None)
        self._first, *rest = self.endpoints
        if (refused := refused_option(asking, self._first.model, self._first.provider)) is not None:
            raise PermanentError(refused)
        self._asking = [asking, *(asking.of_another_model(each.provider) for each in rest)]
        if config.tools and (without := [each for each in self.endpoints if not has_tools(each.provider)]):
            raise PermanentError(f"{without[0].model}: Loom has no tools for {without[0].provider}. Leave out `tools`.")
        self._batch_deadline = config.execution.batch_deadline
        """Fallbacks are asked directly: they are few, and their records have waited already."""
        if self._batch_deadline is not None:
            see_that_it_speaks_batches(self._first.provider, self._first.served_by)

    @property
    def model(self) -> str:
        """Return the name of the configured model."""
        return self._first.model

    @property
    def protocols(self) -> set[str]:
        """Return the protocols that the models speak."""
        return {protocol_of(each.provider) for each in self.endpoints}

    @property
    def records_at_once(self) -> int | None:
        """Return of how many records the configured model can be asked at once; None where nothing limits it."""
        calls = calls_at_once(self.endpoints[:1])
        return None if calls is None else calls * self._config.records_per_call

    def first(self, question: Question, record_id: str) -> ModelCall:
        """Return the call that asks the configured model."""
        return self.of(self._first, question, 0, record_id)

    def of(self, endpoint: Endpoint, question: Question, again: int, record_id: str) -> ModelCall:
        """Return the call that asks the model of one of the `endpoints`, for the time `again` after the first."""
        configured = endpoint is self._first
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            messages=_messages(question),
            temperature=self._config.temperature,
            max_tokens=self._config.max_tokens,
            schema=self._schema,
            purpose=self._purpose if configured else "fallback",
            again=again,
            timeout=endpoint.timeout,
            rate_limit=endpoint.rate_limit,
            concurrency=endpoint.concurrency,
            served_by=endpoint.served_by,
            judged=self._judging.of(record_id, question.prompt),
            extras=endpoint.extras,
            asking=self._asking[self.endpoints.index(endpoint)],
            turns_alike=self._template.turns_alike(question),
            sealed=self._sealed,
            batch_deadline=self._batch_deadline if configured else None,
        )


def _messages(question: Question) -> tuple[ChatMessage, ...]:
    turns = (ChatMessage(turn.role, turn.text) for turn in question.before)
    return (*turns, ChatMessage("user", question.prompt, question.attached))
