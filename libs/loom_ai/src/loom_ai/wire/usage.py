"""Checks the token counts that an endpoint reports, because costs are computed from them. It does no I/O.

A count is used if it is a whole number and plausible for the length of its text. Otherwise the tokens are estimated
from the text, and the usage is marked as estimated."""

from __future__ import annotations

import math
from typing import Any

import orjson

from loom_ai.attachments.tokens import attached, most
from loom_ai.ports import ModelCall
from loom_common.domain.values.per_record import per_record

_BYTES_PER_TOKEN = 3.2
"""The number of bytes per token in an estimate. Recent tokenizers put more bytes into a token, in European and in
other languages."""
_AROUND_MESSAGE = 8
_MOST_CHARACTERS = 32
"""The most characters per token, averaged over a text. A count below that cannot be a count of this text."""
_MOST_GIVEN = 100_000
"""The most tokens that an endpoint may add to a question, beside four for each character of it."""
_MOST_ANSWERED = 2_000_000
"""The most tokens of an answer and its reasoning. No model writes more."""


@per_record
class Usage:
    """The token counts of a call, as they are charged."""

    given: int
    cached: int
    """Says how many of the `given` tokens the provider read from its cache."""
    answered: int
    estimated: bool
    """Tells whether one of the counts is Loom's estimate because the endpoint's count could not be used."""
    written: int = 0
    """Says how many of the `given` tokens the provider put into its cache. The same token is not counted as cached, nor
    below."""
    audio: int = 0
    image: int = 0


@per_record
class ReportedUsage:
    """Holds the counts that an endpoint reports, of any type, under the same names for all protocols."""

    given: Any = None
    """Tokens of the question, including cached ones."""
    cached: Any = None
    answered: Any = None
    total: Any = None
    reasoning: Any = None
    """Tokens of reasoning, where the protocol reports them."""
    written: Any = None
    """Tokens of the question that were put into the provider's cache."""
    audio: Any = None
    """Tokens of the question that stand for recordings."""
    image: Any = None
    """Tokens of the question that stand for images."""


def checked_usage(call: ModelCall, text: str, reported: ReportedUsage) -> Usage:
    """Check the reported counts of a call whose answer was `text`, and estimate those that cannot be used."""
    asked = sum(len(message.content) for message in call.messages)
    given = _plausible(reported.given, asked, _MOST_GIVEN + 4 * asked + 2 * attached(call, most))
    answered = _plausible(reported.answered, len(text), _MOST_ANSWERED)
    estimated = given is None or answered is None
    if given is None:
        given = estimate_of_question(call)
    if answered is None:
        answered = estimate_of_answer(call, text)
    cached = 0
    if reported.cached is not None:
        known = whole_number(reported.cached)
        if known is None or known > given:
            estimated = True
        else:
            cached = known
    rest, kinds = given - cached, []
    for count in (reported.written, reported.audio, reported.image):
        kinds.append(min(rest, whole_number(count) or 0))
        rest -= kinds[-1]
    return Usage(given, cached, answered + _beyond(reported, given, answered), estimated, *kinds)


def whole_number(value: Any) -> int | None:
    """Return the value if it is a whole number of at least 0, else None."""
    if type(value) is int:
        return value if value >= 0 else None
    if type(value) is float and value >= 0 and value.is_integer():
        return int(value)
    return None


def sum_of_counts(*counts: Any) -> Any:
    """Add counts that a protocol reports separately.

    An absent count is left out of the sum. Returns None where the first is absent or one of them is not a whole
    number."""
    if counts[0] is None:
        return None
    total = 0
    for count in counts:
        if count is None:
            continue
        known = whole_number(count)
        if known is None:
            return None
        total += known
    return total


def estimate_of_question(call: ModelCall) -> int:
    """Estimate the tokens of the question, too high rather than too low."""
    size = sum(len(message.content.encode("utf-8", "replace")) for message in call.messages)
    if call.schema is not None:
        size += len(orjson.dumps(call.schema, default=str))
    size += sum(len(orjson.dumps([tool.name, tool.description, tool.parameters])) for tool in call.tools)
    return math.ceil(size / _BYTES_PER_TOKEN) + _AROUND_MESSAGE * len(call.messages) + attached(call, most)


def estimate_of_answer(call: ModelCall, text: str) -> int:
    """Estimate the tokens of an answer with this text, too high rather than too low.

    The estimate is at most the call's own limit, unless the text itself is longer than that."""
    size = len(text.encode("utf-8", "replace"))
    tokens = math.ceil(size / _BYTES_PER_TOKEN) + 1
    if call.max_tokens is None or tokens <= call.max_tokens:
        return tokens
    return max(call.max_tokens, math.ceil(size / 4))


def _plausible(value: Any, characters: int, most: int) -> int | None:
    known = whole_number(value)
    if known is None or known > most or known * _MOST_CHARACTERS < characters:
        return None
    return known


def _beyond(reported: ReportedUsage, given: int, answered: int) -> int:
    """Return the charged tokens that the answer's count leaves out, which is reasoning at some endpoints.

    They are found from the reported total, or, without one, from a count of reasoning that is above the answer's."""
    total = whole_number(reported.total)
    if total is not None and total - given <= _MOST_ANSWERED:
        return max(0, total - given - answered)
    reasoning = whole_number(reported.reasoning)
    if reasoning is not None and answered < reasoning <= _MOST_ANSWERED:
        return reasoning
    return 0
