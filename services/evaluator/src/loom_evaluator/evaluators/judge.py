"""Implements Arbiter's model, served by Loom: what its evaluators use of an `LLMClient`, over the journal.

`create_agent` is the one seam through which every one of its evaluators gets its model. Behind it, tokens, cost,
cache, limits and breakers are Loom's; through Arbiter's own client one question takes some 14 ms of CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from loom_ai.answers.shape import Shape
from loom_ai.http.endpoints import Endpoint
from loom_ai.ports import ChatMessage, ModelCall
from loom_common.domain.model_options.asking import ASKED_PLAINLY, Asking
from loom_evaluator.evaluation_call import EvaluationCall


@dataclass(frozen=True, slots=True)
class JudgeClient:
    """Says where an evaluator's model is served, and how it is asked."""

    endpoint: Endpoint
    timeout: float
    """Seconds one answer may take."""
    temperature: float | None = 0.0
    """None leaves it to the model."""
    max_tokens: int | None = None
    purpose: str = "evaluate"
    """Says what its calls are entered with in the books."""
    batch_deadline: float | None = None
    """Seconds after which a question is asked directly that a batch has not answered; None: it is asked directly."""
    asking: Asking = ASKED_PLAINLY
    """Holds the seed and the reasoning that the judge is asked with."""

    def call(self, *messages: ChatMessage, schema: Mapping[str, Any] | None = None) -> ModelCall:
        """Make a question to be asked here."""
        endpoint = self.endpoint
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            messages=messages,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            schema=schema,
            purpose=self.purpose,
            timeout=self.timeout,
            rate_limit=endpoint.rate_limit,
            concurrency=endpoint.concurrency,
            served_by=endpoint.served_by,
            extras=endpoint.extras,
            asking=self.asking,
            turns_alike=1 if messages and messages[0].role == "system" else 0,
            batch_deadline=self.batch_deadline,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Holds token counts under the names that Arbiter reads."""

    request_tokens: int
    response_tokens: int
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.request_tokens + self.response_tokens


@dataclass(frozen=True, slots=True)
class Answered:
    """Holds what an agent's run gives."""

    output: BaseModel
    took: Usage

    def usage(self) -> Usage:
        """Return the tokens that the run newly paid for."""
        return self.took


class JudgeConfig:
    """Stands in for `LLMClient`, for one evaluator and one record."""

    temperature = 0.0

    def __init__(self, client: JudgeClient, evaluation_call: EvaluationCall) -> None:
        self._client = client
        self._evaluation_call = evaluation_call
        self.model = client.endpoint.model

    def create_agent(self, system_prompt: str, result_type: type[BaseModel]) -> Agent:
        """Create what answers with a `result_type`."""
        return Agent(self._client, self._evaluation_call, system_prompt, result_type)


class Agent:
    """Puts one kind of question to a judge, and reads its answers as `result_type`."""

    def __init__(
        self, client: JudgeClient, evaluation_call: EvaluationCall, system_prompt: str, result_type: type[BaseModel]
    ) -> None:
        self._client = client
        self._evaluation_call = evaluation_call
        self._system_prompt = system_prompt
        self._result_type = result_type

    async def run(self, prompt: str) -> Answered:
        """Raises `RecordError` where no usable answer came, and what `JournalledModels.complete` raises."""
        shape = shape_of(self._result_type)
        messages = ChatMessage("system", self._system_prompt), ChatMessage("user", prompt)
        call = self._client.call(*messages, schema=shape.schema)
        reply = await self._evaluation_call.ask(call, shape)
        if reply.error is not None:
            raise reply.error
        output = self._result_type.model_validate(reply.output)
        return Answered(output, Usage(reply.spent.tokens_in, reply.spent.tokens_out))


class ResultShape(Shape):
    """Represents the shape of a pydantic model, its validators included: they say what no JSON Schema can."""

    def __init__(self, result_type: type[BaseModel]) -> None:
        super().__init__(strict_schema(result_type.model_json_schema()))
        self._type = result_type

    def misfit(self, value: Any) -> str | None:
        return super().misfit(value) or self._refused(value)

    def _refused(self, value: Any) -> str | None:
        try:
            self._type.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(map(str, first["loc"]))
            return f"{field}: {first['msg']}" if field else first["msg"]
        return None


@lru_cache(maxsize=64)
def shape_of(result_type: type[BaseModel]) -> ResultShape:
    """Return the shape, made once for each type of result."""
    return ResultShape(result_type)


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema as endpoints that hold a model to one want it: every field named and required, no default, and
    nothing referred to. A default would be a confidence that nobody stated."""
    return cast("dict[str, Any]", _strict(schema, schema.get("$defs", {})))


def _strict(part: Any, named: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_strict(each, named) for each in part]
    if not isinstance(part, Mapping):
        return part
    if "$ref" in part:
        return _strict(named[str(part["$ref"]).rsplit("/", 1)[-1]], named)
    strict = {
        name: {key: _strict(each, named) for key, each in value.items()}
        if name == "properties"
        else _strict(value, named)
        for name, value in part.items()
        if name not in ("$defs", "default", "title")
    }
    if "properties" in strict:
        strict |= {"required": list(strict["properties"]), "additionalProperties": False}
    return strict
