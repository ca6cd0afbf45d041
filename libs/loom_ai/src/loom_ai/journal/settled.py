"""Describes an answer on the account of the record that wanted it: paid for by it, or reused."""

from __future__ import annotations

from dataclasses import field

from loom_ai.journal.usage import Spent
from loom_ai.ports import Entry, ModelAnswer, Payer
from loom_common.domain.run.calls import Calls
from loom_common.domain.values.per_record import per_record


@per_record
class Settled:
    """Holds an answer and whose account it is on."""

    answer: ModelAnswer
    spent: Spent
    earlier_run: bool
    """Tells whether another run paid for it."""
    fresh: bool = field(default=False, compare=False)
    """Whether a model was asked for it by this call; else it was found in the journal."""


def settled(entry: Entry, payer: Payer, *, fresh: bool = False) -> Settled:
    """Settle the account: a record that meets what it paid for itself (it was delivered twice) counts it again as its
    own."""
    if entry.payer != payer:
        earlier_run = entry.payer.run_id != payer.run_id
        return Settled(entry.answer, Spent(calls_from_cache=1), earlier_run, fresh)
    answer = entry.answer
    spent = Spent(
        calls_made=1,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        cost=entry.cost,
        answered=answer.latency,
    )
    return Settled(answer, spent, earlier_run=False, fresh=fresh)


def counted(entry: Entry, payer: Payer, *, known: bool) -> Calls:
    """Return the answer as an entry of the payer's usage; `known`: whether the model has a price."""
    if entry.payer != payer:
        return Calls(purpose=entry.purpose, provider=entry.provider, model=entry.model, reused=1)
    answer = entry.answer
    return Calls(
        purpose=entry.purpose,
        provider=entry.provider,
        model=entry.model,
        made=1,
        unpriced=0 if known else 1,
        estimated=1 if answer.estimated else 0,
        tokens_in=answer.tokens_in,
        tokens_cached=answer.tokens_cached,
        tokens_out=answer.tokens_out,
        cost=entry.cost,
        seconds=answer.latency,
    )
