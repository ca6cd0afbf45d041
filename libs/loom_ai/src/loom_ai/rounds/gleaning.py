"""Asks for an answer again while a judge's score of it is too low, with the judge's reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loom_ai.answers.structured_output import Reply
from loom_ai.ports import ChatMessage, ModelCall
from loom_ai.rounds.asking import Ask
from loom_ai.rounds.judging import Judging, as_text

_WORDS = (
    "A reviewer gave this answer a score of {score:g} from 0 to 1, and said:\n\n{reasons}\n\nAnswer the request again, "
    "better, and as a whole."
)


@dataclass(frozen=True, slots=True)
class Refining:
    """Says when an answer is good enough."""

    max_rounds: int
    """Limits how often the model is asked again."""
    accept: float
    """The score at which no further round is made."""


async def refined(call: ModelCall, ask: Ask, refining: Refining, judge: Judging) -> Reply:
    """Return the answer with the highest score, with what all rounds took; of equal scores the later one's.

    Where the first answer cannot be read or judged, the reply holds the error. Where a later one cannot, the best
    answer so far is returned. Raises what `ask` and `judge` raise."""
    reply = await ask(call)
    spent, best, best_score = reply.spent, reply, -1.0
    for left in range(refining.max_rounds, -1, -1):
        if reply.output is None:
            break
        review = await judge(call, reply.output)
        spent += review.spent
        if review.score is None:
            if best_score < 0:
                best = replace(reply, output=None, error=review.error)
            break
        if review.score >= best_score:
            best, best_score = reply, review.score
        if review.score >= refining.accept or not left:
            break
        reply = await ask(_again(call, reply.output, review.score, review.reasons))
        spent += reply.spent
    return replace(best, spent=spent)


def _again(call: ModelCall, output: Mapping[str, Any], score: float, reasons: str) -> ModelCall:
    """Return the question with the last answer and what was said of it."""
    said = ChatMessage("user", _WORDS.format(score=score, reasons=reasons.strip() or "(no reasons)"))
    return replace(call, purpose="refine", messages=(*call.messages, ChatMessage("assistant", as_text(output)), said))
