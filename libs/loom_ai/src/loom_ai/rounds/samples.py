"""Asks one question several times and picks one of the answers.

Each sample is a call of its own: its number is part of its key in the journal, so that it is paid for once, whatever
happens to the run. The first has the key of the question that is asked once, so that more samples cost only what is
added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loom_ai.answers.structured_output import Reply
from loom_ai.journal.usage import NOTHING
from loom_ai.ports import ModelCall
from loom_ai.rounds.asking import Ask, side_by_side
from loom_ai.rounds.judging import Judging, Review
from loom_ai.rounds.votes import normalised, winner


@dataclass(frozen=True, slots=True)
class Sampling:
    """Says how many samples there are, and which is picked."""

    number: int
    vote_by: str | None = None
    """The field whose values are counted; None for whole answers."""


async def first_valid(call: ModelCall, ask: Ask, number: int) -> Reply:
    """Ask until an answer fits its shape, at most `number` times. Where none does, the first error is returned. Raises
    what `ask` raises."""
    spent, failed = NOTHING, None
    for at in range(number):
        reply = await ask(_sample(call, at))
        spent += reply.spent
        if reply.output is not None:
            return replace(reply, spent=spent)
        failed = failed or reply
    assert failed is not None  # there is at least one sample
    return replace(failed, spent=spent)


async def voted(call: ModelCall, ask: Ask, sampling: Sampling) -> Reply:
    """Return the most frequent answer, with the share of the samples that agree with it.

    A sample without a valid answer agrees with none. Where no sample has one, the first error is returned. Raises what
    `ask` raises."""
    replies = await _sampled(call, ask, sampling.number)
    valid = [reply for reply in replies if reply.output is not None]
    if not valid:
        return _joined(replies[0], replies)
    at, votes = winner([reply.output or {} for reply in valid], sampling.vote_by)
    return replace(_joined(valid[at], replies), agreement=votes / sampling.number)


async def best_judged(call: ModelCall, ask: Ask, sampling: Sampling, judge: Judging) -> Reply:
    """Return the answer that a judge gives the highest score, with the share of the samples that are equal to it.

    Equal answers are judged once. Of several with the same score, the one that was asked for first is returned. One
    without a judgement is not picked. Raises what `ask` and `judge` raise."""
    replies = await _sampled(call, ask, sampling.number)
    names = [None if reply.output is None else normalised(reply.output) for reply in replies]
    first = [at for at, name in enumerate(names) if name is not None and names.index(name) == at]
    if not first:
        return _joined(replies[0], replies)
    verdicts = await side_by_side([judge(_sample(call, at), replies[at].output or {}) for at in first])
    joined = _joined(replies[first[0]], replies, verdicts)
    scores = {at: verdict.score for at, verdict in zip(first, verdicts, strict=True) if verdict.score is not None}
    if not scores:
        return replace(joined, output=None, error=verdicts[0].error)
    best = max(scores, key=lambda at: scores[at])  # the first of equals
    return replace(joined, output=replies[best].output, agreement=names.count(names[best]) / sampling.number)


async def _sampled(call: ModelCall, ask: Ask, number: int) -> list[Reply]:
    return await side_by_side([ask(_sample(call, at)) for at in range(number)])


def _sample(call: ModelCall, at: int) -> ModelCall:
    if not at:
        return call
    return replace(call, sample=at, purpose="sample" if call.purpose == "transform" else call.purpose)


def _joined(picked: Reply, replies: Sequence[Reply], verdicts: Sequence[Review] = ()) -> Reply:
    """Return the picked reply, with what all of them took."""
    spent = [*(reply.spent for reply in replies), *(verdict.spent for verdict in verdicts)]
    return replace(picked, spent=sum(spent, NOTHING))
