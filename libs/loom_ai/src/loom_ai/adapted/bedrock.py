"""Reads responses of Bedrock's Converse API. It does no I/O."""

from __future__ import annotations

from typing import Any

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish, written
from loom_ai.wire.answer import answer_from
from loom_ai.wire.document import NoAnswer, kind_of, object_in, object_of
from loom_ai.wire.parts import MessageText, distinct_kinds, text_in
from loom_ai.wire.usage import ReportedUsage, sum_of_counts

_TOOL = "output"
_REASONS = {
    **dict.fromkeys(("end_turn", "stop_sequence"), finish.WHOLE),
    "max_tokens": finish.CUT_OFF,
    "model_context_window_exceeded": finish.BEYOND_WINDOW,
    **dict.fromkeys(("content_filtered", "guardrail_intervened"), finish.FILTERED),
    "malformed_tool_use": "malformed_function_call",
}
"""Bedrock's `stopReason` values and Loom's finish reasons for them. `tool_use` is added where the tool is Loom's
own."""


def parsed(body: bytes) -> Any:
    """Return the response as a document. A tool's input is the answer itself, so it is kept as the text that was sent.
    Raises `NoAnswer`."""
    document = documents.parsed(body)
    if b'"toolUse"' in body:
        places = written.members_of(body, ("output", "message", "content"), ("toolUse", "input"))
        for part, literal in zip(_parts(document), places, strict=False):
            if isinstance(part, dict) and isinstance(part.get("toolUse"), dict) and literal is not None:
                part["toolUse"]["input"] = literal
    return document


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    output = object_of(object_of(document, "the response").get("output"), "`output`")
    content = object_of(output.get("message"), "`message`").get("content")
    if not isinstance(content, list):
        raise NoAnswer(f"the content is {kind_of(content)}, not a list of parts")
    texts, used, noted = [], [], []
    for each in content:
        part = object_of(each, "a part of the content")
        tool = part.get("toolUse")
        if "text" in part:
            texts.append(text_in(part, "text"))
        elif call.schema is not None and isinstance(tool, dict) and tool.get("name") == _TOOL and "input" in tool:
            used.append(written.as_text(tool["input"]))
        elif "reasoningContent" not in part:
            noted.append(next(map(str, part), "empty"))
    text = "\n".join(used) if used else "".join(texts)
    reasons = _REASONS | ({"tool_use": finish.WHOLE} if used else {})
    reason = finish.finish_reason_of(document.get("stopReason"), reasons)
    return answer_from(call, MessageText(text, noted=distinct_kinds(noted)), reason, counted(document), latency)


def counted(document: Any) -> ReportedUsage:
    usage = object_in(document, "usage")
    if usage is None:
        return ReportedUsage()
    cached, capture_response = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    return ReportedUsage(
        given=sum_of_counts(usage.get("inputTokens"), cached, capture_response),
        cached=cached,
        answered=usage.get("outputTokens"),
        total=usage.get("totalTokens"),
    )


def _parts(document: Any) -> list[Any]:
    for name in ("output", "message", "content"):
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, list) else []
