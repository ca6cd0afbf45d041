"""Makes an answer from what a protocol's reader found in a response. It does no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
    logprobs: Iterable[tuple[bytes, float]] | None = None,
) -> ModelAnswer:
    """Return the answer with the text of `message` and with checked token counts; `latency` is in seconds.

    `model` is the model's name in the response, of any type; the call's own name is used where that is no text.
    `logprobs` are the tokens of the text, in UTF-8, with their probabilities: they are left out where they do not make
    up the text."""
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
        tokens_written=usage.written,
        tokens_audio=usage.audio,
        tokens_image=usage.image,
        logprobs=None if logprobs is None else _of_text(list(logprobs), message.text),
    )


def _of_text(tokens: Sequence[tuple[bytes, float]], text: str) -> tuple[tuple[int, float], ...] | None:
    whole = b"".join(token for token, _ in tokens)
    if not tokens or whole != text.encode("utf-8", "surrogatepass"):
        return None
    return tuple((len(token), value) for token, value in tokens)


def given_logprobs(found: Mapping[str, Any] | None, listed: str, named: str) -> list[tuple[bytes, float]] | None:
    """Return the tokens in the list `listed` of an object, in UTF-8, each with the logarithm of its probability, which
    is under `named`; None where it is no such list. A token may end within a character: its bytes then tell it."""
    tokens = None if found is None else found.get(listed)
    if not isinstance(tokens, list):
        return None
    read: list[tuple[bytes, float]] = []
    for each in tokens:
        token = each.get("token") if isinstance(each, dict) else None
        value = each.get(named) if isinstance(each, dict) else None
        if not isinstance(token, str) or isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if math.isnan(value) or value > 0:
            return None
        try:
            raw = (
                bytes(each["bytes"]) if isinstance(each.get("bytes"), list) else token.encode("utf-8", "surrogatepass")
            )
        except (TypeError, ValueError):
            return None
        read.append((raw, max(float(value), -1e4)))
    return read
