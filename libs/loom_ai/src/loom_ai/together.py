"""Several questions in one call, answered by name: `records_per_call`.

The parts of an answer are matched to their questions by name, never by order. Each is checked by itself; what is
missing or does not fit is left to be asked singly. Where a question was answered together with others is noted in the
journal under the question's own key, so that it is not paid again in whichever company it comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from loom_ai.journal import JournalledModels, Reuse
from loom_ai.keys import key_of, shared_by
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall, Payer
from loom_ai.shape import Shape
from loom_ai.spending import NOTHING, Spent
from loom_ai.structured import read, without_fence
from loom_common.errors import RecordError

_WORDS = (
    "Below are {count} separate requests. Answer each by itself, as if it were the only one. Answer with one JSON "
    "object that has a field for every request, named as the request is."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A call that may be made together with others, and who pays for it when it is alone."""

    call: ModelCall
    payer: Payer


@dataclass(frozen=True, slots=True)
class Part:
    """What a shared answer holds for one question."""

    output: dict[str, Any] | None
    """None: nothing of use. Ask singly."""
    spent: Spent


async def ask_together(
    models: JournalledModels,
    questions: Sequence[Question],
    at_once: int,
    shape: Shape | None,
    reuse: Reuse,
    patience: float | None = None,
) -> list[Part]:
    """A part for each question, in order; at most `at_once` share a call. Raises what `JournalledModels.complete`
    raises, but for a refusal of the call, which leaves all its questions to be asked singly."""
    keys = [key_of(each.call, None if reuse.enabled else each.payer) for each in questions]
    first = dict(reversed([*zip(keys, questions, strict=True)]))
    noted = await asyncio.gather(*(_noted(models, key, first[key], shape, reuse) for key in first))
    parts = {key: part for key, part in zip(first, noted, strict=True) if part is not None}
    rest = [key for key in dict.fromkeys(keys) if key not in parts]
    groups = [rest[start : start + at_once] for start in range(0, len(rest), at_once)]
    asked = await asyncio.gather(
        *(_asked(models, {key: first[key] for key in group}, shape, reuse, patience) for group in groups)
    )
    for answered in asked:
        parts |= answered
    # Whose question another asked before it shares the output, and pays nothing.
    return [
        parts[key] if first[key] is question else replace(parts[key], spent=NOTHING)
        for key, question in zip(keys, questions, strict=True)
    ]


async def _asked(
    models: JournalledModels, questions: dict[str, Question], shape: Shape | None, reuse: Reuse, patience: float | None
) -> dict[str, Part]:
    if len(questions) == 1:
        return {key: Part(None, NOTHING) for key in questions}
    payer = next(iter(questions.values())).payer
    call = joined([each.call for each in questions.values()], shape)
    try:
        settled = await models.complete(call, payer, reuse, patience)
    except RecordError:
        return {key: Part(None, NOTHING) for key in questions}
    shared = key_of(call, None if reuse.enabled else payer)
    parts: dict[str, Part] = {}
    for number, (key, question) in enumerate(questions.items(), 1):
        output = part_of(settled.answer, number, shape)
        parts[key] = Part(output, settled.spent if question.payer == payer else NOTHING)
        note = orjson.dumps({"shared": shared, "number": number}).decode()
        await models.note(shared_by(key), payer, call, note)
    return parts


async def _noted(
    models: JournalledModels, key: str, question: Question, shape: Shape | None, reuse: Reuse
) -> Part | None:
    """What an earlier call holds for the question that was shared with others; None where there was none."""
    note = await models.found(shared_by(key), question.call, question.payer, reuse)
    if note is None:
        return None
    place = orjson.loads(note.answer.text)
    settled = await models.found(place["shared"], question.call, question.payer, reuse)
    if settled is None:
        return None
    return Part(part_of(settled.answer, place["number"], shape), settled.spent)


def joined(calls: Sequence[ModelCall], shape: Shape | None) -> ModelCall:
    """One call that asks what several do, which differ in their last message alone. Pure."""
    names = [_name(number) for number in range(1, len(calls) + 1)]
    requests = [f"### {name}\n{call.messages[-1].content}" for name, call in zip(names, calls, strict=True)]
    words = "\n\n".join([_WORDS.format(count=len(calls)), *requests])
    one = calls[0]
    return replace(
        one,
        messages=(*one.messages[:-1], ChatMessage("user", words)),
        schema=_schema(names, shape),
        max_tokens=None if one.max_tokens is None else one.max_tokens * len(calls),
    )


def part_of(answer: ModelAnswer, number: int, shape: Shape | None) -> dict[str, Any] | None:
    """The output of the `number`-th question (1-based); None where there is none that fits. Pure."""
    if answer.finish_reason == "length":
        return None
    try:
        part = orjson.loads(without_fence(answer.text))[_name(number)]
        text = part if shape is None and isinstance(part, str) else orjson.dumps(part).decode()
        return None if shape is None and not isinstance(part, str) else read(replace(answer, text=text), shape)
    except (orjson.JSONDecodeError, LookupError, TypeError, RecordError):
        return None


def _name(number: int) -> str:
    return f"record_{number}"


def _schema(names: Sequence[str], shape: Shape | None) -> dict[str, Any]:
    whole: dict[str, Any] = {"type": "string"} if shape is None else shape.schema
    definitions = whole.get("$defs", {})
    one = {name: each for name, each in whole.items() if name != "$defs"}
    return {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/answer"} for name in names},
        "required": list(names),
        "additionalProperties": False,
        "$defs": {**definitions, "answer": one},
    }
