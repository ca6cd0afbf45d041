"""Decides what becomes of a request that a batch did not answer. It does no I/O.

| what came | what becomes of it |
|---|---|
| an error of the provider (5xx, 429) | part of the next batch; after three batches it is asked directly |
| a refusal (400, 413, 422 ...) | asked directly: the endpoint says for certain what is wrong, and charges nothing |
| a refusal of a parameter or of the form of the answer | part of the next batch, without it |
| expired, cancelled | part of the next batch; after the deadline it is asked directly |
| nothing | part of the next batch; after three batches it is asked directly |
"""

from __future__ import annotations

from typing import NamedTuple

from loom_ai.batches.requests.values import Outcome, RequestState

MOST_TRIES = 3
"""The number of batches that may be done with a request without an answer, before it is asked directly."""
_PASSING = frozenset({408, 409, 425, 429})


class Way(NamedTuple):
    """Says what becomes of a request."""

    state: RequestState
    tried: bool = False
    """Tells whether the batch counts as one that had no answer."""


def way_of(outcome: Outcome | None, status: int, tries: int, *, overdue: bool, learned: bool = False) -> Way:
    """Return what becomes of a request. `outcome` None: the batch says nothing of it. `learned`: why it was refused is
    known, and the next batch asks in another way. `overdue`: its deadline has passed."""
    if outcome is Outcome.ERROR and _is_refusal(status) and not learned:
        return Way(RequestState.DIRECT)
    counts = outcome in (None, Outcome.ERROR)
    if overdue or (counts and tries + 1 >= MOST_TRIES):
        return Way(RequestState.DIRECT)
    return Way(RequestState.GATHERED, tried=counts)


def _is_refusal(status: int) -> bool:
    return 400 <= status < 500 and status not in _PASSING
