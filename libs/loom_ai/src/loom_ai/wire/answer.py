"""Makes an answer from what a protocol's reader found in a response. It does no I/O."""

from __future__ import annotations

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.document import name_of
from loom_ai.wire.parts import MessageText
from loom_ai.wire.usage import ReportedUsage, checked_usage


def answer_from(
    call: ModelCall,
    message: MessageText,
    finish_reason: str,
    reported: ReportedUsage,
    latency: float,
    model: object = None,
) -> ModelAnswer:
    """Return the answer with the text of `message` and with checked token counts; `latency` is in seconds.

    `model` is the model's name in the response, of any type; the call's own name is used where that is no text."""
    usage = checked_usage(call, message.text, reported)
    return ModelAnswer(
        text=message.text,
        finish_reason=finish_reason,
        model=name_of(model, call.model),
        tokens_in=usage.given,
        tokens_cached=usage.cached,
        tokens_out=usage.answered,
        latency=latency,
        estimated=usage.estimated,
        noted=message.noted,
    )
