"""Asks several questions in one call (`records_per_call`) and matches the parts of the answer by name.

Each part is checked on its own. A missing or unfit part is asked for again in a call of its own. The journal gets an
entry for each question under the question's own key, so that it is not paid again when it is grouped differently. While
a shared call is in flight, no other call asks its questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from loom_ai.answers.json_in_text import value_in
from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import read
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.journal.usage import NOTHING, Spent
from loom_ai.keys import shared_by
from loom_ai.ports import ChatMessage, Entry, ModelAnswer, ModelCall, Payer
from loom_ai.wire import finish
from loom_common.errors import RecordError

_WORDS = (
    "Below are {count} separate requests. Answer each by itself, as if it were the only one. Answer with one JSON "
    "object that has a field for every request, named as the request is."
)


@dataclass(frozen=True, slots=True)
class Question:
    """Represents a call that may be combined with others, and the record that pays for it when it is made alone."""

    call: ModelCall
    payer: Payer


@dataclass(frozen=True, slots=True)
class Part:
    """Represents the part of a shared answer that belongs to one question."""

    output: dict[str, Any] | None
    """Holds the output; None where the part is missing or unfit and the question has to be asked alone."""
    spent: Spent


class Combining(Protocol):
    """Combines questions into one call, and takes its answer apart."""

    def combined(self, calls: Sequence[ModelCall]) -> ModelCall:
        """Return one call that asks all these questions."""
        ...

    def part(self, answer: ModelAnswer, number: int) -> dict[str, Any] | None:
        """Return the output of the `number`-th question (1-based); None where there is none that fits."""
        ...

    def read(self, answer: ModelAnswer) -> dict[str, Any]:
        """Return the output of a question that was asked alone. Raises `RecordError`."""
        ...


@dataclass(frozen=True, slots=True)
class Shaped:
    """Combines questions whose answers have a declared shape, or are free texts."""

    shape: Shape | None
    strict: bool = False

    def combined(self, calls: Sequence[ModelCall]) -> ModelCall:
        return combined_call(calls, self.shape)

    def part(self, answer: ModelAnswer, number: int) -> dict[str, Any] | None:
        return part_of(answer, number, self.shape, strict=self.strict)

    def read(self, answer: ModelAnswer) -> dict[str, Any]:
        return read(answer, self.shape, strict=self.strict)


async def ask_together(
    models: JournalledModels,
    questions: Sequence[Question],
    at_once: int,
    combining: Combining,
    reuse: Reuse,
    patience: float | None = None,
) -> list[Part]:
    """Return a part for each question, in order, with at most `at_once` questions per call.

    A question that another shared call has in flight is not asked again; its answer is awaited. Raises what
    `JournalledModels.complete` raises, except that a refused call leaves all its questions to be asked alone."""
    asking = _Asking(models, at_once, combining, reuse, patience)
    keys = [reuse.key(each.call, each.payer) for each in questions]
    first: dict[str, Question] = {}
    for key, question in zip(keys, questions, strict=True):
        first.setdefault(key, question)
    parts = await asking.answers(first)
    # A record whose question another record has asked shares the output and pays nothing.
    return [
        parts[key] if first[key] is question else replace(parts[key], spent=NOTHING)
        for key, question in zip(keys, questions, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asks the questions of one batch. Equal questions have the same key."""

    models: JournalledModels
    at_once: int
    combining: Combining
    reuse: Reuse
    patience: float | None

    async def answers(self, questions: Mapping[str, Question]) -> dict[str, Part]:
        """Return a part for each of the questions."""
        parts = await self._known(questions)
        rest = {key: each for key, each in questions.items() if key not in parts}
        claimed = {shared_by(key): question.payer for key, question in rest.items()}
        async with self.models.shared.taken(claimed) as mine:
            free = {key: each for key, each in rest.items() if shared_by(key) in mine}
            parts |= await self._known(free)  # it was answered after the first look in the journal and before the claim
            keys = [key for key in free if key not in parts]
            groups = [keys[start : start + self.at_once] for start in range(0, len(keys), self.at_once)]
            for answered in await asyncio.gather(*(self._asked({key: free[key] for key in each}) for each in groups)):
                parts |= answered
        others = {key: each for key, each in rest.items() if key not in parts}
        await asyncio.gather(*(self._until_free(key, each) for key, each in others.items()))
        answered = await self._known(others)
        return parts | {key: answered.get(key, Part(None, NOTHING)) for key in others}

    async def _asked(self, questions: Mapping[str, Question]) -> dict[str, Part]:
        if len(questions) == 1:
            return {key: await self._alone(question) for key, question in questions.items()}
        payer = next(iter(questions.values())).payer
        call = self.combining.combined([each.call for each in questions.values()])
        try:
            settled = await self.models.complete(call, payer, self.reuse, self.patience)
        except RecordError:
            return {key: Part(None, NOTHING) for key in questions}
        shared = self.reuse.key(call, payer)
        # At once, so that they are one write. Where a process ended between two of them, the other questions would
        # be grouped otherwise by its successor, and paid for again.
        await asyncio.gather(
            *(
                self.models.note(
                    shared_by(key), payer, call, orjson.dumps({"shared": shared, "number": number}).decode()
                )
                for number, key in enumerate(questions, 1)
            )
        )
        return {
            key: Part(
                self.combining.part(settled.answer, number), settled.spent if question.payer == payer else NOTHING
            )
            for number, (key, question) in enumerate(questions.items(), 1)
        }

    async def _alone(self, question: Question) -> Part:
        """Ask a single remaining question in a call of its own."""
        try:
            settled = await self.models.complete(question.call, question.payer, self.reuse, self.patience)
        except RecordError:
            return Part(None, NOTHING)
        try:
            return Part(self.combining.read(settled.answer), settled.spent)
        except RecordError:
            return Part(None, settled.spent)

    async def _known(self, questions: Mapping[str, Question]) -> dict[str, Part]:
        """Return what the journal holds, from a shared call or from a call of the question's own."""
        found = await asyncio.gather(*(self._noted(key, each) for key, each in questions.items()))
        return {key: part for key, part in zip(questions, found, strict=True) if part is not None}

    async def _noted(self, key: str, question: Question) -> Part | None:
        if await self.models.holds(key, question.payer, self.reuse) is not None:
            return await self._alone(question)
        note = await self.models.found(shared_by(key), question.call, question.payer, self.reuse)
        if note is None:
            return None
        place = orjson.loads(note.answer.text)
        settled = await self.models.found(place["shared"], question.call, question.payer, self.reuse)
        if settled is None:
            return None
        return Part(self.combining.part(settled.answer, place["number"]), settled.spent)

    async def _until_free(self, key: str, question: Question) -> None:
        async def look_up() -> Entry | None:
            return await self.models.holds(shared_by(key), question.payer, self.reuse)

        await self.models.shared.until_free(shared_by(key), question.payer, look_up)


def combined_call(calls: Sequence[ModelCall], shape: Shape | None) -> ModelCall:
    """Combine calls that differ in their last message only into one call. It does no I/O."""
    names = [_name(number) for number in range(1, len(calls) + 1)]
    requests = [f"### {name}\n{call.messages[-1].content}" for name, call in zip(names, calls, strict=True)]
    words = "\n\n".join([_WORDS.format(count=len(calls)), *requests])
    one = calls[0]
    return replace(
        one,
        messages=(*one.messages[:-1], ChatMessage("user", words)),
        schema=_schema(names, shape),
        max_tokens=None if one.max_tokens is None else one.max_tokens * len(calls),
        judged=sum(each.judged for each in calls),
    )


def part_of(answer: ModelAnswer, number: int, shape: Shape | None, *, strict: bool = False) -> dict[str, Any] | None:
    """Return the output of the `number`-th question (1-based); None where there is none that fits. It does no I/O."""
    if answer.finish_reason != finish.WHOLE:
        return None
    try:
        part = value_in(answer.text, strict=strict)[_name(number)]
    except (ValueError, LookupError, TypeError):
        return None
    if shape is None:
        return {"text": part} if isinstance(part, str) and part.strip() else None
    if not isinstance(part, dict) or shape.misfit(part) is not None:
        return None
    fitted: dict[str, Any] = shape.exact(part)
    return fitted


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
