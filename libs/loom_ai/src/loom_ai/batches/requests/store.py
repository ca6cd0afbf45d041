"""Defines where the requests of batches, and the batches, are kept: the port that a database implements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loom_ai.batches.requests.values import Batch, Request, RequestState, RunHeard, Standing


class BatchStore(Protocol):
    """Keeps requests and batches. What a method has returned for outlives this process. Each is one transaction, and
    raises `DependencyUnavailable` where the database is away."""

    async def find(self, keys: Sequence[str]) -> dict[str, Request]:
        """Return those of the requests that wait, by key."""
        ...

    async def gather(self, requests: Sequence[Request]) -> set[str]:
        """Enter requests, and return the keys of those that nobody had entered before."""
        ...

    async def see(self, keys: Sequence[str], epoch: int) -> None:
        """Note that the records of requests have come again in this epoch of their run."""
        ...

    async def remove(self, keys: Sequence[str], batch_id: str | None = None) -> set[str]:
        """Remove requests, with `batch_id` those that are still part of it. Return the keys of those removed."""
        ...

    async def release(
        self,
        keys: Sequence[str],
        batch_id: str,
        state: RequestState,
        *,
        tried: bool = False,
        problem: str | None = None,
    ) -> None:
        """Take requests out of a batch, into `state`. `tried` counts the batch as one that had no answer."""
        ...

    async def heard(self, run_id: str, epoch: int, *, cancelled: bool) -> None:
        """Note the epoch of a run that was paused, resumed or cancelled."""
        ...

    async def run(self, run_id: str) -> RunHeard:
        """Return what was last heard of a run."""
        ...

    async def forget_refused(self, run_id: str) -> None:
        """Remove the refused requests of a run."""
        ...

    async def overdue(self, place: str) -> Sequence[Request]:
        """Have gathered requests asked directly whose deadline has passed, and return them."""
        ...

    async def places(self) -> Sequence[str]:
        """Return the places of which something is to be done."""
        ...

    async def own(self, place: str, holder: str, seconds: float) -> bool:
        """Take a place for so long, and return whether it is the holder's now."""
        ...

    async def disown(self, holder: str) -> None:
        """Give back all places of a holder."""
        ...

    async def gathered(self, place: str) -> Gathered:
        """Return what may be submitted of a place: not the requests of a run that is paused or cancelled."""
        ...

    async def sample(self, place: str, after: str, most: int) -> Sequence[Request]:
        """Return requests of a place that may be submitted, in the order of their keys, after one of them."""
        ...

    async def intend(self, batch: Batch, keys: Sequence[str]) -> Batch | None:
        """Make gathered requests one batch; None where none of them is gathered any more."""
        ...

    async def batches(self, place: str) -> Sequence[Batch]:
        """Return the batches of a place that are not done, the oldest first."""
        ...

    async def known(self, place: str) -> Sequence[str]:
        """Return the provider's names of all batches of a place that have one."""
        ...

    async def change(self, batch_id: str, **values: Any) -> None:
        """Store these values in the fields of a batch with these names."""
        ...

    async def requests_of(self, batch_id: str, after: str, most: int) -> Sequence[Request]:
        """Return requests of a batch in the order of their keys, after one of them."""
        ...

    async def requests_named(self, batch_id: str, keys: Sequence[str]) -> dict[str, Request]:
        """Return those of the requests that are part of the batch, by key."""
        ...

    async def standing(self, run_id: str) -> Standing:
        """Return how far the batches of a run are."""
        ...

    async def close(self) -> None:
        """Release the connections that are open."""
        ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """Describes the requests of a place that may be submitted."""

    count: int = 0
    size: int = 0
    oldest: dt.datetime | None = None
    newest: dt.datetime | None = None
