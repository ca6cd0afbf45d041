"""What an endpoint says of the tokens that a call took, checked: it is what money is counted by. Pure.

A count is believed where it is a whole number that is plausible beside the length of its text. Where it is not, the
call is charged by an estimate from the text's own length, which is marked as such."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import orjson

from loom_ai.ports import ModelCall

_BYTES_PER_TOKEN = 3.2
"""Of an estimate: fewer than the tokenizers of the last years put into a token, for European languages and others."""
_AROUND_MESSAGE = 8
_MOST_CHARACTERS = 32
"""In one token, on average over a whole text: a count that leaves more to a token is no count of this text."""
_MOST_GIVEN = 100_000
"""Tokens that an endpoint may put around a question (instructions of its own), beside four for each character."""
_MOST_ANSWERED = 2_000_000
"""Tokens of an answer with its reasoning, which nobody sees: no model writes more."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that are charged."""

    given: int
    cached: int
    """Of `given`."""
    answered: int
    estimated: bool
    """Whether one of them is Loom's estimate, because the endpoint's count could not be used."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What an endpoint says, of any type, under one name for all protocols."""

    given: Any = None
    """With those that were cached."""
    cached: Any = None
    answered: Any = None
    total: Any = None
    reasoning: Any = None
    """Tokens of reasoning, where the protocol counts them apart from the answer or among them."""


def checked(call: ModelCall, text: str, said: Counted) -> Usage:
    """What is charged for a call that was answered with `text`, which is all that was sent back."""
    asked = sum(len(message.content) for message in call.messages)
    given = _plausible(said.given, asked, _MOST_GIVEN + 4 * asked)
    answered = _plausible(said.answered, len(text), _MOST_ANSWERED)
    estimated = given is None or answered is None
    if given is None:
        given = estimate_of_question(call)
    if answered is None:
        answered = estimate_of_answer(call, text)
    cached = 0
    if said.cached is not None:
        known = whole(said.cached)
        if known is None or known > given:
            estimated = True
        else:
            cached = known
    return Usage(given, cached, answered + _beyond(said, given, answered), estimated)


def whole(value: Any) -> int | None:
    """The number, where it is a whole one from 0 up; None for anything else."""
    if type(value) is int:
        return value if value >= 0 else None
    if type(value) is float and value >= 0 and value.is_integer():
        return int(value)
    return None


def added(*counts: Any) -> Any:
    """The sum of counts that a protocol states apart, where each is a whole number or absent; None where the first is
    absent or one of them is no number."""
    if counts[0] is None:
        return None
    total = 0
    for count in counts:
        if count is None:
            continue
        known = whole(count)
        if known is None:
            return None
        total += known
    return total


def estimate_of_question(call: ModelCall) -> int:
    """Tokens of the question, rather too many than too few."""
    size = sum(len(message.content.encode("utf-8", "replace")) for message in call.messages)
    if call.schema is not None:
        size += len(orjson.dumps(call.schema, default=str))
    return math.ceil(size / _BYTES_PER_TOKEN) + _AROUND_MESSAGE * len(call.messages)


def estimate_of_answer(call: ModelCall, text: str) -> int:
    """Tokens of an answer of that text, rather too many than too few, but not more than the call allowed, unless the
    text itself is longer than that."""
    size = len(text.encode("utf-8", "replace"))
    tokens = math.ceil(size / _BYTES_PER_TOKEN) + 1
    if call.max_tokens is None or tokens <= call.max_tokens:
        return tokens
    return max(call.max_tokens, math.ceil(size / 4))


def _plausible(value: Any, characters: int, most: int) -> int | None:
    known = whole(value)
    if known is None or known > most or known * _MOST_CHARACTERS < characters:
        return None
    return known


def _beyond(said: Counted, given: int, answered: int) -> int:
    """Tokens that were charged and that the count of the answer leaves out: reasoning, which some endpoints count
    apart. The total shows them; where there is none, more reasoning than answer does."""
    total = whole(said.total)
    if total is not None and total - given <= _MOST_ANSWERED:
        return max(0, total - given - answered)
    reasoning = whole(said.reasoning)
    if reasoning is not None and answered < reasoning <= _MOST_ANSWERED:
        return reasoning
    return 0
