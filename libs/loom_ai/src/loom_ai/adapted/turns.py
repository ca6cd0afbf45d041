"""A question and its answer, between Loom's words and the library's. Pure."""

from __future__ import annotations

from typing import Any, cast

import orjson
from multidict import CIMultiDict
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.form import USUAL, Form, Manner, described
from loom_common.errors import PermanentError

_TOOL = "output"
_PARAMETERS = {
    "bedrock": frozenset({"top_p", "stop_sequences"}),
    "cohere": frozenset({"top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "stop_sequences"}),
}
"""The parameters that the library hands on to each provider."""
_BODIES = {"bedrock": "bedrock_additional_model_requests_fields"}
"""How it hands on other fields."""
_ENDED = {"tool_call": "stop", None: "stop"}
"""Its words for how an answer ended, where they are not Loom's."""


def messages(call: ModelCall, form: Form) -> list[ModelMessage]:
    """The conversation."""
    turns: list[ModelMessage] = []
    asked: list[ModelRequestPart] = []
    for message in described(call, form):
        match message.role:
            case "system":
                asked.append(SystemPromptPart(message.content))
            case "user":
                asked.append(UserPromptPart(message.content))
            case "assistant":
                turns += [ModelRequest(asked), ModelResponse([TextPart(message.content)])]
                asked = []
    return [*turns, ModelRequest(asked)]


def settings(call: ModelCall, manner: Manner = USUAL) -> ModelSettings:
    """How it is asked. Raises `PermanentError` for what the library does not hand on."""
    said = ModelSettings()
    if call.temperature is not None and manner.temperature:
        said["temperature"] = call.temperature
    if call.max_tokens is not None:
        said["max_tokens"] = call.max_tokens
    if call.extras:
        said |= cast("ModelSettings", _besides(call))
    return said


def _besides(call: ModelCall) -> dict[str, Any]:
    known, body = _PARAMETERS[call.provider], _BODIES.get(call.provider)
    strange = [f"`params.{name}`" for name in call.extras.params if name not in known]
    strange += ["`headers`"] * bool(call.extras.headers) + ["`extra_body`"] * bool(call.extras.body and body is None)
    if strange:
        raise PermanentError(
            f"The provider {call.provider} is asked through a library that does not hand on {', '.join(strange)}. It "
            f"hands on the `params` {', '.join(sorted(known))}{' and `extra_body`' if body else ''}."
        )
    return {**call.extras.params, **({body: dict(call.extras.body)} if body and call.extras.body else {})}


def parameters(call: ModelCall, form: Form) -> ModelRequestParameters:
    """What holds the answer to a shape: in the strongest form, a tool that has to be used."""
    if call.schema is None or form is not Form.JSON_SCHEMA:
        return ModelRequestParameters()
    tool = ToolDefinition(
        name=_TOOL,
        description="Give the answer by calling this tool.",
        parameters_json_schema=dict(call.schema),
        kind="output",
    )
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)


def answer(response: ModelResponse, call: ModelCall, latency: float) -> ModelAnswer:
    """What was said: the tool's arguments, where it was used."""
    used = [part.args_as_json_str() for part in response.parts if isinstance(part, ToolCallPart)]
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    usage = response.usage
    # Cohere counts its own wrapping among the tokens, and charges less: what it bills stands in the details.
    return ModelAnswer(
        text=used[0] if used else text,
        finish_reason=_ENDED.get(response.finish_reason, str(response.finish_reason)),
        model=response.model_name or call.model,
        tokens_in=usage.details.get("input_tokens") or usage.input_tokens,
        tokens_cached=usage.cache_read_tokens,
        tokens_out=usage.details.get("output_tokens") or usage.output_tokens,
        latency=latency,
    )


def body_of(said: object) -> bytes:
    """An error's body as it came: AWS's SDK has taken it apart."""
    if isinstance(said, bytes):
        return said
    if isinstance(said, str):
        return said.encode()
    if isinstance(said, dict) and isinstance(error := said.get("Error"), dict):
        said = {"message": error.get("Message"), "code": error.get("Code")}
    return orjson.dumps(said, default=str)


def headers_of(error: BaseException | None) -> CIMultiDict[str]:
    """The headers of the response that an SDK's error is about; none where it does not tell."""
    response: Any = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    said = getattr(error, "headers", None) or getattr(response, "headers", None) or metadata.get("HTTPHeaders")
    return CIMultiDict({str(name): str(value) for name, value in dict(said or {}).items()})
