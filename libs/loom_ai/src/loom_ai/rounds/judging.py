"""Has a model judge an answer before it is chosen: a score from 0 to 1, and the reasons for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.http.endpoints import Endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.usage import Spent
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_common.domain.json_values import exact_json
from loom_common.errors import RecordError

_SHAPE = {"score": {"type": "number", "minimum": 0, "maximum": 1}, "reasons": "string"}
_WORDS = (
    "Judge the answer to the request below. {criteria}Give a score from 0 (useless) to 1 (nothing to improve), and say "
    "in `reasons` what is wrong or missing.\n\n### Request\n{request}\n\n### Answer\n{answer}"
)


@dataclass(frozen=True, slots=True)
class Review:
    """Holds what a judge said of one answer."""

    score: float | None
    """None where there is no judgement."""
    reasons: str
    spent: Spent
    error: RecordError | None = None
    """Says why there is no judgement."""


Judging = Callable[[ModelCall, Mapping[str, Any]], Awaitable[Review]]
"""Judges an output, given the question that it answers. Raises what `JournalledModels.complete` raises."""


class JudgeModel:
    """Asks one model for judgements, through the journal."""

    def __init__(
        self,
        models: JournalledModels,
        endpoint: Endpoint,
        criteria: str | None,
        reuse: Reuse,
        patience: float | None = None,
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> None:
        self._models = models
        self._endpoint = endpoint
        self._criteria = f"{criteria.strip()}\n" if criteria else ""
        self._reuse = reuse
        self._patience = patience
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._shape = Shape(_SHAPE)

    def on_account_of(self, payer: Payer) -> Judging:
        """Return what judges answers for one record, which pays for it."""

        async def judge(question: ModelCall, output: Mapping[str, Any]) -> Review:
            call = self._call(question, output)
            reply = await ask(self._models, call, payer, self._shape, self._reuse, self._patience)
            if reply.output is None:
                words = f"The judge {self._endpoint.model} gave no judgement: {reply.error}"
                details = {} if reply.error is None else reply.error.details
                return Review(None, "", reply.spent, RecordError(words, code="not_judged", details=details))
            return Review(float(reply.output["score"]), reply.output["reasons"], reply.spent)

        return judge

    def _call(self, question: ModelCall, output: Mapping[str, Any]) -> ModelCall:
        endpoint = self._endpoint
        request = "\n\n".join(message.content for message in question.messages)
        words = _WORDS.format(criteria=self._criteria, request=request, answer=as_text(output))
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            messages=(ChatMessage("user", words),),
            temperature=self._temperature,
            max_tokens=self._max_tokens,
            schema=self._shape.schema,
            purpose="judge",
            again=question.again,
            sample=question.sample,
            judged=question.judged,  # what is set apart for evaluators is not for this
            timeout=endpoint.timeout,
            rate_limit=endpoint.rate_limit,
            concurrency=endpoint.concurrency,
            served_by=endpoint.served_by,
            extras=endpoint.extras,
            sealed=question.sealed,
        )


def as_text(output: Mapping[str, Any]) -> str:
    """Return an output as it is shown to a model: free text as it is, and everything else as JSON."""
    if len(output) == 1 and isinstance(text := output.get("text"), str):
        return text
    return exact_json.dumps(output).decode()
