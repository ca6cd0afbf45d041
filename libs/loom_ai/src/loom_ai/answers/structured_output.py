"""Asks a model for JSON of the declared schema, and once more where the first answer does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import field, replace
from itertools import count
from typing import Any

from loom_ai.answers.json_in_text import value_in, without_thoughts
from loom_ai.answers.shape import Shape
from loom_ai.answers.tool_rounds import ToolBox, conversed
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.settled import Settled
from loom_ai.journal.usage import NOTHING, Spent
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall, Payer
from loom_ai.wire import finish
from loom_common.domain.json_values.exact_json import UnfitJson
from loom_common.domain.json_values.kinds import kind_of
from loom_common.domain.values.per_record import per_record
from loom_common.domain.values.plural import counted
from loom_common.errors import RecordError

INVALID = "invalid_output"
_RAW_SHOWN = 20_000
"""The most characters of an unusable answer that are kept with its record."""
_REPAIRED = 100_000
"""The longest answer that is sent back for repair, in characters; above that, repair costs more than asking anew."""
TRIES = 3
"""Says how often a question is asked where the response is not one of the endpoint's protocol."""
_APART = 1000
"""The distance in the journal key between the tries of one attempt at a record and those of the next."""


@per_record
class Reply:
    """Holds the output of one record, or why it has none, and what it took."""

    output: dict[str, Any] | None
    error: RecordError | None
    spent: Spent
    agreement: float | None = None
    """The share of the samples of a question that agree with the output; None where samples were not compared."""
    answer: ModelAnswer | None = field(default=None, compare=False, repr=False)
    """The answer that the output was read from."""


async def ask(
    models: JournalledModels,
    call: ModelCall,
    payer: Payer,
    shape: Shape | None,
    reuse: Reuse | None = None,
    patience: float | None = None,
    *,
    strict: bool = False,
    tools: ToolBox | None = None,
    longest: int | None = None,
) -> Reply:
    """Ask the model, read the answer, and have an unfit answer repaired once. The model may use `tools` before it
    answers.

    Without a shape the output is `{"text": answer}`. A failure that concerns the record alone stands in the reply;
    docs/models.md lists the codes. A failure that was paid for by an earlier run is asked for anew. `patience` limits
    the time of one answer, in seconds; `strict` is as for `read`, and an answer of more than `longest` characters
    is no output. Raises what `JournalledModels.complete` raises."""
    reuse = reuse or Reuse()

    def output_of(answer: ModelAnswer) -> dict[str, Any]:
        see_its_length(answer, longest)
        return read(answer, shape, strict=strict)

    reply, earlier_run = await _asked_and_repaired(models, call, payer, output_of, reuse, patience, tools)
    if reply.error is not None and earlier_run:
        anew = replace(reuse, max_age=0.0)
        reply, _ = await _asked_and_repaired(models, call, payer, output_of, anew, patience, tools)
    return reply


async def _asked_and_repaired(
    models: JournalledModels,
    call: ModelCall,
    payer: Payer,
    output_of: Callable[[ModelAnswer], dict[str, Any]],
    reuse: Reuse,
    patience: float | None,
    tools: ToolBox | None,
) -> tuple[Reply, bool]:
    async def answered(asked: ModelCall) -> tuple[Settled, Spent]:
        return await _answered(models, asked, payer, reuse, patience)

    spent, earlier_run = NOTHING, False
    for again in (True, False):
        try:
            call, settled, took = await conversed(call, answered, tools)
            spent, earlier_run = spent + took, earlier_run or settled.earlier_run
            return Reply(output_of(settled.answer), None, spent, answer=settled.answer), earlier_run
        except RecordError as error:
            if error.code != INVALID or not again or len(settled.answer.text) > _REPAIRED:
                return Reply(None, error, spent), earlier_run
            call = _repair(call, settled.answer, str(error))
    raise AssertionError("unreachable: the second round returns")


async def _answered(
    models: JournalledModels, call: ModelCall, payer: Payer, reuse: Reuse, patience: float | None
) -> tuple[Settled, Spent]:
    """Return the answer and what it took.

    A response without an answer is asked for again, up to `TRIES` times. One that an earlier delivery of the record
    received does not count as the last try."""
    spent = NOTHING
    for tried in count(1):
        asked = call if tried == 1 and not call.again else replace(call, again=_APART * call.again + tried - 1)
        settled = await models.complete(asked, payer, reuse, patience)
        spent += settled.spent
        last = tried >= TRIES and (settled.fresh or call.batch_deadline is not None)
        if settled.answer.finish_reason != finish.UNUSABLE or last:
            return settled, spent
        if settled.fresh:
            await models.pause(tried)
    raise AssertionError("unreachable: it ends with a fresh answer")


def read(answer: ModelAnswer, shape: Shape | None, *, strict: bool = False) -> dict[str, Any]:
    """Return the output in an answer.

    `strict` reads the text as it stands; otherwise reasoning, code fences and text around it are removed. Raises
    `RecordError`."""
    _check_complete(answer)
    text = answer.text if strict else without_thoughts(answer.text)
    if not text or text.isspace():
        raise RecordError(_empty_answer_message(answer), code="empty_answer", details=raw(answer))
    if shape is None:
        return {"text": text}
    try:
        output = value_in(answer.text, strict=strict)
    except UnfitJson as error:
        raise RecordError(f"The answer cannot be kept as it is: {error}", code=INVALID, details=raw(answer)) from None
    except json.JSONDecodeError as error:
        raise RecordError(f"The answer is no JSON ({error})", code=INVALID, details=raw(answer)) from None
    if (misfit := shape.misfit(output)) is not None:
        raise RecordError(f"The answer does not fit its declared shape ({misfit})", code=INVALID, details=raw(answer))
    if not isinstance(output, dict):
        words = f"The answer is {kind_of(output)}, not a JSON object"
        raise RecordError(words, code=INVALID, details=raw(answer))
    fitted: dict[str, Any] = shape.exact(output)
    return fitted


def see_its_length(answer: ModelAnswer, longest: int | None) -> None:
    """Raise `RecordError` (code `answer_too_long`) for an answer of more than `longest` characters; its beginning is
    kept. It is not repaired: that would send it back whole."""
    if longest is not None and len(answer.text) > longest:
        words = f"The answer has {len(answer.text):,} characters, and `max_characters` allows {longest:,}"
        details = {**raw(answer), "raw": answer.text[: min(longest, _RAW_SHOWN)]}
        raise RecordError(words, code="answer_too_long", details=details)


def raw(answer: ModelAnswer) -> dict[str, Any]:
    """Return what is kept of an unusable answer."""
    kept = {"raw": answer.text[:_RAW_SHOWN], "finish_reason": answer.finish_reason, "model": answer.model}
    return kept | ({"left_out": list(answer.noted)} if answer.noted else {})


def _check_complete(answer: ModelAnswer) -> None:
    """Raise `RecordError` for an answer that is incomplete or empty."""
    match answer.finish_reason:
        case finish.WHOLE:
            return
        case finish.CUT_OFF:
            after = counted(answer.tokens_out, "token")
            words = f"The answer was cut off after {after}. Raise `max_tokens`, or ask for less"
            code = "truncated_output"
        case finish.REFUSED:
            words, code = "The model refused to answer", "refused"
        case finish.FILTERED:
            words, code = "The provider's content filter took the answer, or a part of it", finish.FILTERED
        case finish.BEYOND_WINDOW:
            words, code = "Question and answer are longer than the model's context window", finish.BEYOND_WINDOW
        case finish.TOOLS:
            words = "The model asked for tools again after the last round. Raise `max_rounds`, or say when to stop"
            code = "too_many_rounds"
        case finish.UNUSABLE:
            why = answer.noted[0] if answer.noted else "it is no answer of its protocol"
            words, code = (
                f"The endpoint answered {TRIES} times or more, but with nothing of use: {why}",
                "unusable_answer",
            )
        case other:
            words, code = f"The answer ended with '{other.removeprefix('finish_')}', so that it may not be whole", other
    raise RecordError(words, code=code, details=raw(answer))


def _empty_answer_message(answer: ModelAnswer) -> str:
    """Explain an answer that holds no text."""
    beside = f" Left out were parts of these kinds: {', '.join(answer.noted)}" if answer.noted else ""
    return f"The answer is empty: it holds no text{', or reasoning alone' if answer.tokens_out > 1 else ''}.{beside}"


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
