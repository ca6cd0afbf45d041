"""Implements Anthropic's Messages API.

To hold an answer to a JSON schema, the request offers one tool and forces its use; the tool's input is the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loom_ai.attachments.parts import anthropic_content
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish, tool_turns, written
from loom_ai.wire.answer import answer_from
from loom_ai.wire.document import NoAnswer, object_in, object_of
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form, encoded_request, messages_with_schema
from loom_ai.wire.parts import MessageText, distinct_kinds, kind_of_part, message_text, text_in
from loom_ai.wire.usage import ReportedUsage, sum_of_counts

VERSION = "2023-06-01"
LONGEST = 4096
"""The `max_tokens` of a request whose pipeline names none. This protocol requires the field."""
_TOOL = "output"
_KEPT = {"type": "ephemeral"}
_REASONS = {
    **dict.fromkeys(("end_turn", "stop_sequence"), finish.WHOLE),
    "max_tokens": finish.CUT_OFF,
    "refusal": finish.REFUSED,
    "model_context_window_exceeded": finish.BEYOND_WINDOW,
    "pause_turn": "pause_turn",
}
"""Anthropic's `stop_reason` values and Loom's finish reasons for them. `tool_use` is added where the tool is Loom's
own."""


def forms(call: ModelCall) -> tuple[Form, ...]:
    """Return the forms: no tool is forced where a model reasons within a number of tokens, which refuses that."""
    held = call.schema is not None and call.asking.reasoning_tokens is None
    return (Form.JSON_SCHEMA, Form.PLAIN) if held else (Form.PLAIN,)


def url(base_url: str, _model: str) -> str:
    """Return the address of the Messages API. A `base_url` without the version gets `/v1` appended."""
    return f"{base_url if base_url.endswith('/v1') else f'{base_url}/v1'}/messages"


def headers(secret: str | None) -> dict[str, str]:
    return {"anthropic-version": VERSION, **({"x-api-key": secret} if secret else {})}


def limits(_base_url: str) -> tuple[str, ...]:
    return ("max_tokens",)


def request_body(call: ModelCall, form: Form, accepted: AcceptedParameters = ALL_ACCEPTED) -> bytes:
    messages = messages_with_schema(call, form)
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    reasoning = call.asking.reasoning_tokens
    body: dict[str, Any] = {
        "model": call.model,
        "max_tokens": call.max_tokens or LONGEST + (reasoning or 0),
        "messages": [_turn(message) for message in messages if message.role != "system"],
    }
    if system:
        body["system"] = system
    if reasoning is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": reasoning}
    elif call.temperature is not None and accepted.temperature:
        body["temperature"] = call.temperature
    offered = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in call.tools
    ]
    if form is Form.JSON_SCHEMA:
        offered.append({"name": _TOOL, "description": "Gives the answer.", "input_schema": call.schema or {}})
        forced = {"type": "tool", "name": _TOOL, "disable_parallel_tool_use": True}
        body["tool_choice"] = {"type": "any"} if call.tools and not call.tools_closed else forced
    elif call.tools_closed:
        body["tool_choice"] = {"type": "none"}
    if offered:
        body["tools"] = offered
    if call.asking.effort is not None:
        body["output_config"] = {"effort": call.asking.effort}
    if call.asking.cache_prompt:
        _mark(body, call)
    return encoded_request(body, call, body)


def parsed(body: bytes) -> Any:
    """Return the response as a document. A tool's input is the answer itself, so it is kept as the text that was sent.
    Raises `NoAnswer`."""
    document = documents.parsed(body)
    content = document.get("content") if isinstance(document, dict) else None
    if isinstance(content, list) and b'"tool_use"' in body:
        for block, literal in zip(content, written.members_of(body, ("content",), ("input",)), strict=False):
            if isinstance(block, dict) and literal is not None:
                block["input"] = literal
    return document


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document = object_of(document, "the response")
    if "content" not in document:
        raise NoAnswer("`content` is missing")
    content = document["content"]
    if call.tools and (uses := _uses(content, call)):
        found = MessageText(tool_turns.use_text(uses, _sent_back(content)))
        return answer_from(call, found, finish.TOOLS, counted(document), latency, document.get("model"))
    used, found = _message_text(content, tool=call.schema is not None)
    text = "\n".join(used) if used else found.text
    reasons = _REASONS | ({"tool_use": finish.WHOLE} if used else {})
    reason = finish.finish_reason_of(document.get("stop_reason"), reasons)
    return answer_from(call, replace(found, text=text), reason, counted(document), latency, document.get("model"))


def _mark(body: dict[str, Any], call: ModelCall) -> None:
    """Mark the ends of what is the same for every record: of the tools and the system prompt, and of the turns behind
    them. The provider keeps everything up to a mark."""
    alike = call.messages[: call.turns_alike]
    whole_system = all(message in alike for message in call.messages if message.role == "system")
    if "system" in body and whole_system:
        body["system"] = [{"type": "text", "text": body["system"], "cache_control": _KEPT}]
    elif body.get("tools"):
        body["tools"][-1] = {**body["tools"][-1], "cache_control": _KEPT}
    turns = sum(message.role != "system" for message in alike)
    if turns and whole_system:
        last = body["messages"][turns - 1]
        parts = last["content"] if isinstance(last["content"], list) else [{"type": "text", "text": last["content"]}]
        body["messages"][turns - 1] = {**last, "content": [*parts[:-1], {**parts[-1], "cache_control": _KEPT}]}


def _turn(message: ChatMessage) -> dict[str, Any]:
    if message.role == tool_turns.USE:
        return {"role": "assistant", "content": tool_turns.turn_in(message)}
    if message.role == tool_turns.RESULT:
        results = tool_turns.results_in(message)
        blocks = [
            {"type": "tool_result", "tool_use_id": each.id, "content": each.text, "is_error": each.failed}
            for each in results
        ]
        return {"role": "user", "content": blocks}
    return {"role": message.role, "content": anthropic_content(message)}


def _uses(content: Any, call: ModelCall) -> list[tool_turns.ToolUse]:
    """Return the uses of the pipeline's tools; none where the model gave its answer, too."""
    blocks = [each for each in content if kind_of_part(each) == "tool_use"] if isinstance(content, list) else []
    offered = {tool.name for tool in call.tools}
    if any(block.get("name") == _TOOL and _TOOL not in offered for block in blocks):
        return []
    return [
        tool_turns.ToolUse(
            str(block.get("id")), text_in(block, "name"), tool_turns.arguments_of(written.as_text(block.get("input")))
        )
        for block in blocks
    ]


def _sent_back(content: Any) -> list[Any]:
    """Return the blocks of a turn as they are sent back, with the inputs of tools as objects again."""
    return [
        {**block, "input": tool_turns.arguments_of(written.as_text(block["input"])) or {}}
        if "input" in block
        else block
        for block in content
    ]


def counted(document: Any) -> ReportedUsage:
    usage = object_in(document, "usage")
    if usage is None:
        return ReportedUsage()
    cached, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    return ReportedUsage(
        given=sum_of_counts(usage.get("input_tokens"), cached, written),
        cached=cached,
        answered=usage.get("output_tokens"),
        written=written,
    )


def _message_text(content: Any, *, tool: bool) -> tuple[list[str], MessageText]:
    """Return the inputs of Loom's tool as JSON texts, and the text beside them. Uses of other tools are left out and
    noted."""
    if not isinstance(content, list):
        return [], message_text(content)
    used, rest, others = [], [], []
    for block in content:
        if kind_of_part(block) != "tool_use":
            rest.append(block)
        elif tool and block.get("name", _TOOL) == _TOOL and "input" in block:
            used.append(written.as_text(block["input"]))
        else:
            others.append("tool_use")
    found = message_text(rest)
    return used, replace(found, noted=distinct_kinds((*found.noted, *others)))
