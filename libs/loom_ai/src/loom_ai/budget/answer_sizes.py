"""How large questions and answers are, as far as the calls of a run have shown: what a reservation learns from.

The longest answer of a call is a limit that the provider keeps, so it may be chosen by what was seen. The size of a
question cannot be chosen. Its bound is a token for each byte; of the part that it has in common with a question that
was counted already, as many tokens as that one had."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from loom_ai.pacing.token_bounds import MOST_ANSWERED, most
from loom_ai.ports import ModelAnswer, ModelCall

FIRST_ANSWERS = 1024
"""Tokens that an answer is allowed before any was seen, where the rest of the budget does not bear more."""
_FEW = 20
"""Answers before their lengths say something about the next ones."""
_KEPT = 500
"""The last lengths are kept."""
_FIRST_LEAST = 64
"""Tokens that are worth asking for before any answer was seen."""
_SHORTEST = 16
"""Tokens that an answer is allowed at least, however short answers were."""
_AROUND = 16
"""Tokens that a question may have more where the text it has in common with another one ends."""
_MARGIN = 1.5
"""How many more tokens for each byte a question may have than all that were counted."""
_KINDS = 200


@dataclass(slots=True)
class Sizes:
    """Of one run's calls of one kind: the same model, purpose and schema."""

    answers: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Tokens of the last answers. One that was cut off counts twice what it had."""
    most_given: int = 0
    """Tokens of the largest question, as the provider counted them."""
    share: float = 0.0
    """The most tokens that were counted for each byte of the bound."""
    beyond: int = 0
    """Tokens by which an answer was longer than it was allowed to be: some providers count what they do not limit."""
    text: str = ""
    """A question that was counted."""
    first: int = 0
    """Calls that are under way, or begin, although no answer was seen."""

    def saw(self, call: ModelCall, answer: ModelAnswer) -> None:
        """Learn from an answer to `call`, which was limited to its `max_tokens`."""
        cut_off = answer.finish_reason == "length"
        self.answers.append(2 * answer.tokens_out if cut_off else answer.tokens_out)
        if not cut_off:
            self.beyond = max(self.beyond, answer.tokens_out - (call.max_tokens or answer.tokens_out))
        self.most_given = max(self.most_given, answer.tokens_in)
        self.share = max(self.share, answer.tokens_in / most(call))
        self.text = _text(call)

    def enough(self, limit: int) -> int:
        """Tokens that nearly every answer keeps within, by a safety factor of two, or four where few were seen."""
        if not self.answers:
            return min(limit, FIRST_ANSWERS)
        few = len(self.answers) < _FEW
        return min(limit, max(_SHORTEST, (4 if few else 2) * self._quantile(0.99)))

    def least(self, limit: int) -> int:
        """Tokens that most answers keep within."""
        return min(limit, max(1, self._quantile(0.5)) if self.answers else _FIRST_LEAST)

    def bound(self, call: ModelCall) -> int:
        """Tokens that the question has at most."""
        whole = most(call)
        if self.share > 1.0:  # this endpoint counts more than bytes
            return max(self.most_given, math.ceil(whole * self.share * _MARGIN))
        if not self.most_given:
            return whole
        text = _text(call)
        new = len(text[_common(text, self.text) :].encode(errors="replace"))
        return min(whole, self.most_given + new + _AROUND)

    def likely(self, call: ModelCall) -> int:
        """Tokens that the question has, with a margin, by what was counted so far."""
        bound = self.bound(call)
        return bound if not self.most_given else min(bound, math.ceil(most(call) * self.share * _MARGIN))

    def _quantile(self, part: float) -> int:
        if not self.answers:
            return 0
        ordered = sorted(self.answers)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class AnswerSizes:
    """Of one process, by run and kind of call."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[tuple[object, ...], Sizes] = OrderedDict()

    def of(self, call: ModelCall, run_id: str) -> Sizes:
        """What is known of calls like this one."""
        system = call.messages[0].content if call.messages[0].role == "system" else None
        shape = None if call.schema is None else hash(repr(call.schema))
        kind = (run_id, call.provider, call.base_url, call.model, call.purpose, system, shape)
        sizes = self._kinds.setdefault(kind, Sizes())
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return sizes


def longest(call: ModelCall) -> int:
    """Tokens that the answer may have where the budget bears it."""
    return call.max_tokens or MOST_ANSWERED


def _text(call: ModelCall) -> str:
    return "\n".join(message.content for message in call.messages)


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return bisect_left(range(1, min(len(one), len(other)) + 1), True, key=lambda size: one[:size] != other[:size])
