"""Defines what waits for a provider's batch, what a batch is, and what a provider says of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from loom_ai.ports import ModelCall
from loom_common.domain.model_options.pricing import ModelPrice


class RequestState(StrEnum):
    """Says where a request stands. A request that was answered has no row any more: its answer is in the journal."""

    GATHERED = "gathered"
    """The request waits to be part of a batch."""
    BATCHED = "batched"
    """The request is part of a batch, from before that is submitted until its results are read."""
    DIRECT = "direct"
    """No batch answered it in time. It is asked directly when its record comes again."""
    REFUSED = "refused"
    """The provider does not take its batch. The run cannot go on until somebody has changed something."""


class BatchState(StrEnum):
    """Says how far a batch is. Each state is written before what it names is done."""

    INTENDED = "intended"
    """The requests of the batch are fixed. Nothing has been submitted."""
    SUBMITTING = "submitting"
    """The batch may have been submitted. After a crash the provider is asked before it is submitted again."""
    RUNNING = "running"
    CANCELLING = "cancelling"
    """The provider was asked to cancel it. What it has answered is kept."""
    READING = "reading"
    """The provider is done with it, and its results are being read."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reserved:
    """Holds what the run's budget has reserved for a request."""

    id: str
    worst: float
    """Holds the cost in USD at worst."""
    limit: int
    """The most tokens that the answer may have."""


@dataclass(frozen=True, slots=True)
class Request:
    """Represents one request that waits for its answer."""

    key: str
    """The key under which the journal will hold the answer. The provider is given it as the request's name."""
    run_id: str
    record_id: str
    place: str
    """Names the requests that may share a batch; see `place_of`."""
    call: ModelCall
    created_at: dt.datetime
    deadline_at: dt.datetime
    """Says when it is asked directly, where no batch has answered it."""
    state: RequestState = RequestState.GATHERED
    batch_id: str | None = None
    tries: int = 0
    """The number of batches that were done with it and had no answer, through no fault of the request."""
    epoch: int = 0
    """The epoch of the run when its record came last. Requests of a run that was paused since are not submitted."""
    size: int = 0
    """The bytes of the request, about."""
    price: ModelPrice | None = None
    """The pipeline's own price of the model."""
    reserved: Reserved | None = None
    cut: int = 0
    """Says how many answers to the question were cut off before by a limit that a budget had lowered."""
    max_age: float | None = None
    """The seconds that an answer of another run may be old."""
    problem: str | None = None
    """Says why it is refused, for people."""

    @property
    def asked(self) -> ModelCall:
        """Return the call with the limit that the budget bears."""
        return self.call if self.reserved is None else replace(self.call, max_tokens=self.reserved.limit)


@dataclass(frozen=True, slots=True)
class Batch:
    """Represents a batch at a provider."""

    id: str
    """Loom's own name of it, by which it is found again at the provider."""
    run_id: str
    place: str
    state: BatchState
    call: ModelCall
    """One of its requests, without its messages: it says where the batch is, and with which key."""
    requests: int
    created_at: dt.datetime
    deadline_at: dt.datetime
    provider_id: str | None = None
    """The provider's name of it."""
    attempted_at: dt.datetime | None = None
    """Says when it was submitted, or may have been."""
    done: int = 0
    """The number of requests that the provider is done with."""
    reads: int = 0
    """Says how often its results were begun to be read."""
    problem: str | None = None
    """Says, for people, what stands in its way at the moment."""
    names: frozenset[str] = frozenset()
    """The keys of some of its requests, where it is looked for at a provider that does not keep Loom's name of it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Holds the limits of a provider's batches."""

    requests: int
    size: int
    """The number of bytes of all requests together."""


class Outcome(StrEnum):
    """Says how a provider ended one request."""

    ANSWERED = "answered"
    ERROR = "error"
    """The provider responded with an HTTP status that is no success; `Result.status` holds it."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Result:
    """Holds what a batch says of one request."""

    key: str
    outcome: Outcome
    body: bytes = b""
    """The response's body, or the error as JSON."""
    status: int = 200


class End(StrEnum):
    """Says how a batch as a whole has ended."""

    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """The provider did not begin it."""


@dataclass(frozen=True, slots=True)
class Status:
    """Holds what a provider says of a batch."""

    done: int
    end: End | None = None
    """Says how the batch has ended; None while the provider works on it."""
    results: Sequence[str] = ()
    """The addresses of its results, relative to the base URL or absolute. Empty where `document` holds them."""
    document: Any = None
    """The response itself, where it holds the results."""
    problem: str | None = None
    """Says why it failed, in the provider's words."""
    too_much: bool = False
    """Tells whether it failed because too many requests are queued at the provider."""


@dataclass(frozen=True, slots=True)
class Found:
    """Says whether a batch that may have been submitted is at the provider."""

    provider_id: str | None = None
    sure: bool = True
    """False while a batch that may be it has not ended, and cannot be told from others before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Says how far the batches of a run are."""

    waiting: int = 0
    """The number of requests that are not part of a batch yet."""
    batches: Sequence[Batch] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class RunHeard:
    """Holds what was last heard of a run."""

    epoch: int = 0
    cancelled: bool = False
