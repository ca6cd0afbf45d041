"""Reads responses of Cohere's chat API. It does no I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish
from loom_ai.wire.answer import answer_from
from loom_ai.wire.document import object_in, object_of
from loom_ai.wire.parts import MessageText, distinct_kinds, message_text
from loom_ai.wire.usage import ReportedUsage

_TOOL = "output"
_REASONS = {
    **dict.fromkeys(("complete", "stop_sequence"), finish.WHOLE),
    "max_tokens": finish.CUT_OFF,
}
"""Cohere's `finish_reason` values, in lower case, and Loom's for them. `tool_call` is added where the tool is Loom's
own."""

parsed = documents.parsed


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    message = object_of(object_of(document, "the response").get("message"), "`message`")
    used, found = _used(message.get("tool_calls"), message_text(message.get("content")), tool=call.schema is not None)
    text = "\n".join(used) if used else found.text
    reasons = _REASONS | ({"tool_call": finish.WHOLE} if used else {})
    reason = finish.finish_reason_of(document.get("finish_reason"), reasons)
    return answer_from(call, replace(found, text=text), reason, counted(document), latency, document.get("model"))


def counted(document: Any) -> ReportedUsage:
    """Return the billed token counts, which Cohere reports separately; its other counts include its own prompt text."""
    usage = object_in(document, "usage")
    for name in ("billed_units", "tokens"):
        if counts := object_in(usage, name):
            return ReportedUsage(given=counts.get("input_tokens"), answered=counts.get("output_tokens"))
    return ReportedUsage()


def _used(calls: Any, found: MessageText, *, tool: bool) -> tuple[list[str], MessageText]:
    """Return the inputs of Loom's tool as JSON texts, and the text beside them."""
    used, others = [], []
    for each in calls if isinstance(calls, list) else ():
        function = each.get("function") if isinstance(each, dict) else None
        given = function.get("arguments") if isinstance(function, dict) else None
        if tool and isinstance(given, str) and isinstance(function, dict) and function.get("name") == _TOOL:
            used.append(given)
        else:
            others.append("tool_call")
    return used, replace(found, noted=distinct_kinds((*found.noted, *others)))
