"""What a response of Cohere's chat says. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish
from loom_ai.wire.document import name_of, object_of
from loom_ai.wire.parts import Said, once, said_in
from loom_ai.wire.usage import Counted, checked

_TOOL = "output"
_REASONS = {
    **dict.fromkeys(("complete", "stop_sequence"), finish.WHOLE),
    "max_tokens": finish.CUT_OFF,
}
"""Its words for how an answer ended, in small letters. `tool_call` is one where the tool is Loom's."""

parsed = documents.parsed


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    message = object_of(object_of(document, "the response").get("message"), "`message`")
    used, said = _used(message.get("tool_calls"), said_in(message.get("content")), tool=call.schema is not None)
    text = "\n".join(used) if used else said.text
    reasons = _REASONS | ({"tool_call": finish.WHOLE} if used else {})
    usage = checked(call, text, counted(document))
    return ModelAnswer(
        text=text,
        finish_reason=finish.ended(document.get("finish_reason"), reasons),
        model=name_of(document.get("model"), call.model),
        tokens_in=usage.given,
        tokens_cached=usage.cached,
        tokens_out=usage.answered,
        latency=latency,
        estimated=usage.estimated,
        noted=said.noted,
    )


def counted(document: Any) -> Counted:
    """Cohere counts its own wrapping among the tokens and charges less: what it bills stands apart."""
    usage = document.get("usage") if isinstance(document, dict) else None
    for name in ("billed_units", "tokens"):
        counts = usage.get(name) if isinstance(usage, dict) else None
        if isinstance(counts, dict) and counts:
            return Counted(given=counts.get("input_tokens"), answered=counts.get("output_tokens"))
    return Counted()


def _used(calls: Any, said: Said, *, tool: bool) -> tuple[list[str], Said]:
    """What the tool was given, as JSON, and what was said beside."""
    used, others = [], []
    for each in calls if isinstance(calls, list) else ():
        function = each.get("function") if isinstance(each, dict) else None
        given = function.get("arguments") if isinstance(function, dict) else None
        if tool and isinstance(given, str) and isinstance(function, dict) and function.get("name") == _TOOL:
            used.append(given)
        else:
            others.append("tool_call")
    return used, replace(said, noted=once((*said.noted, *others)))
