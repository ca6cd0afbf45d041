"""Predicts the tokens of questions and answers from the calls that a run has made.

The provider enforces a limit on an answer, so that limit can be chosen from earlier answers. A question's size cannot
be chosen. It is bounded by one token per byte; for the beginning that it shares with a question that was counted
already, by the tokens of that question."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import orjson

from loom_ai.attachments.tokens import attached
from loom_ai.attachments.tokens import most as most_tokens
from loom_ai.keys import instructions_of
from loom_ai.pacing.token_bounds import MOST_ANSWERED, most
from loom_ai.ports import ModelAnswer, ModelCall

FIRST_ANSWERS = 1024
"""The limit of an answer before any was seen, in tokens, where the budget does not allow the call's own limit."""
_FEW = 20
"""The number of answers below which their lengths are multiplied by four instead of two."""
_KEPT = 500
"""The number of answers whose lengths are remembered."""
_FIRST_LEAST = 64
"""The smallest limit that is worth a call before any answer was seen, in tokens."""
_SHORTEST = 16
"""The smallest limit that is ever set, in tokens."""
_AROUND = 16
"""Extra tokens of a question where its common beginning with an earlier one ends, because tokens may span that
point."""
_MARGIN = 1.5
"""The factor on the highest tokens per byte that were counted, for the likely size of a question."""
_KINDS = 200


@dataclass(slots=True)
class Sizes:
    """Keeps the sizes of one kind of call of a run: one model, purpose and schema."""

    answers: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """The tokens of the last answers. An answer that was cut off is entered with twice its tokens."""
    most_given: int = 0
    """Holds the tokens of the largest question, as the provider counted them."""
    share: float = 0.0
    """The highest ratio of counted tokens to the bound of a question."""
    beyond: int = 0
    """The most tokens by which an answer exceeded its limit. Some providers count tokens that they do not limit."""
    text: str = ""
    """The text of a question that the provider has counted."""
    first: int = 0
    """The number of calls in flight, or about to be, that were made before any answer was seen."""
    learned: int = 0
    """The number of answers that this process has learned from."""
    told: int = 0
    """The number of them that other processes can know of."""
    recalled: bool = False
    """Tells whether what other processes learned was looked up."""

    def learn(self, call: ModelCall, answer: ModelAnswer) -> None:
        """Learn from the answer to `call`, whose limit was its `max_tokens`."""
        self.learned += 1
        cut_off = answer.finish_reason == "length"
        self.answers.append(2 * answer.tokens_out if cut_off else answer.tokens_out)
        if not cut_off:
            self.beyond = max(self.beyond, answer.tokens_out - (call.max_tokens or answer.tokens_out))
        self.most_given = max(self.most_given, answer.tokens_in)
        self.share = max(self.share, answer.tokens_in / most(call))
        self.text = _text(call)

    def to_note(self) -> str | None:
        """Return what was learned as a text, for `recall` in another process, whenever the answers have doubled or
        grown by 256. Else None. The text holds no words of a question."""
        if self.learned < min(2 * self.told, self.told + 256) or self.learned == self.told:
            return None
        self.told = self.learned
        learned = {"most_given": self.most_given, "share": self.share, "beyond": self.beyond}
        return orjson.dumps({"answers": list(self.answers), **learned}).decode()

    def recall(self, noted: str | None) -> None:
        """Add what `to_note` returned in another process; None where nothing was noted."""
        self.recalled = True
        if noted is not None:
            earlier = orjson.loads(noted)
            self.answers = deque([*earlier["answers"], *self.answers], maxlen=_KEPT)
            self.most_given = max(self.most_given, earlier["most_given"])
            self.share = max(self.share, earlier["share"])
            self.beyond = max(self.beyond, earlier["beyond"])

    def enough(self, limit: int) -> int:
        """Return a limit that nearly every answer stays within: twice the longest, or four times where few were
        seen."""
        if not self.answers:
            return min(limit, FIRST_ANSWERS)
        few = len(self.answers) < _FEW
        return min(limit, max(_SHORTEST, (4 if few else 2) * self._quantile(0.99)))

    def least(self, limit: int) -> int:
        """Return a limit that most answers stay within."""
        return min(limit, max(1, self._quantile(0.5)) if self.answers else _FIRST_LEAST)

    def bound(self, call: ModelCall) -> int:
        """Return the most tokens that the question can have."""
        whole = most(call)
        if self.share > 1.0:  # this endpoint counts more than one token per byte
            return max(self.most_given, math.ceil(whole * self.share * _MARGIN))
        if not self.most_given:
            return whole
        text = _text(call)
        new = len(text[_common(text, self.text) :].encode(errors="replace"))
        return min(whole, self.most_given + new + attached(call, most_tokens) + _AROUND)

    def likely(self, call: ModelCall) -> int:
        """Return the tokens that the question is likely to have, with a margin, from the ratios counted so far."""
        bound = self.bound(call)
        return bound if not self.most_given else min(bound, math.ceil(most(call) * self.share * _MARGIN))

    def _quantile(self, part: float) -> int:
        if not self.answers:
            return 0
        ordered = sorted(self.answers)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class AnswerSizes:
    """Keeps the sizes of the calls of this process, by run and kind of call."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[tuple[object, ...], Sizes] = OrderedDict()

    def of(self, call: ModelCall, run_id: str) -> Sizes:
        """Return the sizes of calls like this one."""
        shape = None if call.schema is None else hash(repr(call.schema))
        kind = (run_id, call.provider, call.base_url, call.model, call.purpose, instructions_of(call), shape)
        sizes = self._kinds.setdefault(kind, Sizes())
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return sizes


def longest(call: ModelCall) -> int:
    """Return the limit of the answer where the budget allows the whole, in tokens."""
    return call.max_tokens or MOST_ANSWERED + (call.asking.reasoning_tokens or 0)


def shortest(call: ModelCall) -> int:
    """Return the smallest limit of the answer that leaves room for one behind the reasoning, in tokens: providers count
    both, and refuse a limit that reasoning alone could use up."""
    reasoning = call.asking.reasoning_tokens
    return 0 if reasoning is None else min(longest(call), reasoning + _FIRST_LEAST)


def _text(call: ModelCall) -> str:
    return "\n".join(message.content for message in call.messages)


def _common(one: str, other: str) -> int:
    """Return the length of the common beginning of two texts, in characters."""
    return bisect_left(range(1, min(len(one), len(other)) + 1), True, key=lambda size: one[:size] != other[:size])
