"""Translates a call into the library's own types. It does no I/O."""

from __future__ import annotations

from typing import Any, cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from loom_ai.ports import ModelCall
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form, messages_with_schema
from loom_common.errors import PermanentError

_TOOL = "output"
_PARAMETERS = {
    "bedrock": frozenset({"top_p", "stop_sequences"}),
    "cohere": frozenset({"top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "stop_sequences"}),
}
"""Holds the parameters that the library passes on to each provider."""
_BODIES = {"bedrock": "bedrock_additional_model_requests_fields"}
"""Holds the setting under which the library passes on other fields of the body."""


def messages(call: ModelCall, form: Form) -> list[ModelMessage]:
    """Return the messages of the conversation."""
    turns: list[ModelMessage] = []
    asked: list[ModelRequestPart] = []
    for message in messages_with_schema(call, form):
        match message.role:
            case "system":
                asked.append(SystemPromptPart(message.content))
            case "user":
                asked.append(UserPromptPart(message.content))
            case "assistant":
                turns += [ModelRequest(asked), ModelResponse([TextPart(message.content)])]
                asked = []
    return [*turns, ModelRequest(asked)]


def settings(call: ModelCall, accepted: AcceptedParameters = ALL_ACCEPTED) -> ModelSettings:
    """Return the settings of the call. Raises `PermanentError` for a parameter that the library does not pass on."""
    said = ModelSettings()
    if call.temperature is not None and accepted.temperature:
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
    """Return how the answer is held to a schema. In the strictest form that is a tool whose use is forced."""
    if call.schema is None or form is not Form.JSON_SCHEMA:
        return ModelRequestParameters()
    tool = ToolDefinition(
        name=_TOOL,
        description="Give the answer by calling this tool.",
        parameters_json_schema=dict(call.schema),
        kind="output",
    )
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)
