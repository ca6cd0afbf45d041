"""Answers as records: JSON of the declared shape, asked for once more where the first answer misses it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import orjson

from loom_ai.journal import JournalledModels, Reuse
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall, Payer
from loom_ai.shape import Shape
from loom_ai.spending import NOTHING, Spent
from loom_common.errors import RecordError

INVALID = "invalid_output"
_FENCE = re.compile(r"\A\s*```[A-Za-z]*\s*\n(?P<json>.*?)\n?\s*```\s*\Z", re.DOTALL)
_RAW_SHOWN = 20_000
"""Characters of a useless answer that are kept with its record."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The output of one record, or why there is none; and what it took either way."""

    output: dict[str, Any] | None
    error: RecordError | None
    spent: Spent


async def ask(
    models: JournalledModels,
    call: ModelCall,
    payer: Payer,
    shape: Shape | None,
    reuse: Reuse | None = None,
    patience: float | None = None,
) -> Reply:
    """Ask, read, and have a misfit repaired once. Without a shape the output is `{"text": answer}`.

    A failure is the record's own and stands in the reply (codes `invalid_output`, `truncated_output`, `refused`,
    `model_refused`). A failure that an earlier run paid for is not believed: it is asked anew. `patience` is how many
    seconds one answer may take. Raises what `JournalledModels.complete` raises."""
    reuse = reuse or Reuse()
    reply, earlier_run = await _asked_and_repaired(models, call, payer, shape, reuse, patience)
    if reply.error is not None and earlier_run:
        reply, _ = await _asked_and_repaired(models, call, payer, shape, replace(reuse, max_age=0.0), patience)
    return reply


async def _asked_and_repaired(
    models: JournalledModels, call: ModelCall, payer: Payer, shape: Shape | None, reuse: Reuse, patience: float | None
) -> tuple[Reply, bool]:
    spent, earlier_run = NOTHING, False
    for again in (True, False):
        try:
            settled = await models.complete(call, payer, reuse, patience)
            spent, earlier_run = spent + settled.spent, earlier_run or settled.earlier_run
            return Reply(read(settled.answer, shape), None, spent), earlier_run
        except RecordError as error:
            if error.code != INVALID or not again:
                return Reply(None, error, spent), earlier_run
            call = _repair(call, settled.answer, str(error))
    raise AssertionError("unreachable: the second round returns")


def read(answer: ModelAnswer, shape: Shape | None) -> dict[str, Any]:
    """The output that an answer holds. Raises `RecordError`."""
    raw = {"raw": answer.text[:_RAW_SHOWN], "finish_reason": answer.finish_reason, "model": answer.model}
    if answer.finish_reason == "length":
        raise RecordError(
            f"The answer was cut off after {answer.tokens_out} tokens. Raise `max_tokens`, or ask for less",
            code="truncated_output",
            details=raw,
        )
    if answer.finish_reason in ("content_filter", "refusal"):
        raise RecordError("The model refused to answer", code="refused", details=raw)
    if shape is None:
        return {"text": answer.text}
    try:
        output = orjson.loads(without_fence(answer.text))
    except orjson.JSONDecodeError as error:
        raise RecordError(f"The answer is no JSON ({error})", code=INVALID, details=raw) from None
    if (misfit := shape.misfit(output)) is not None:
        raise RecordError(f"The answer does not fit its declared shape ({misfit})", code=INVALID, details=raw)
    if not isinstance(output, dict):
        raise RecordError(f"The answer is {type(output).__name__}, not a JSON object", code=INVALID, details=raw)
    return output


def without_fence(text: str) -> str:
    """What stands in a code fence, where all of the text does."""
    fenced = _FENCE.match(text)
    return fenced["json"] if fenced else text


def _repair(call: ModelCall, answer: ModelAnswer, misfit: str) -> ModelCall:
    return replace(
        call,
        purpose="repair",
        messages=(
            *call.messages,
            ChatMessage("assistant", answer.text),
            ChatMessage("user", f"{misfit}. Answer again, with the corrected JSON object and nothing else."),
        ),
    )
