"""Defines what a model and a journal are to Loom: small protocols and the values they exchange."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from loom_common.domain.model_options.asking import ASKED_PLAINLY, Asking
from loom_common.domain.model_options.call_options import NOTHING_BESIDES, Extras
from loom_common.domain.model_options.providers import RateLimit
from loom_common.domain.question.attachment import Attachment
from loom_common.domain.values.per_record import per_record
from loom_common.worker.usage import Usage


@per_record
class ChatMessage:
    """Represents one turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool_use", "tool_result"]
    """The last two are the turns in which tools are used: see `loom_ai.wire.tool_turns`."""
    content: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """Describes a tool to a model."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the object of its arguments."""


@per_record
class ModelCall:
    """Represents one question to a model. Its key is made of everything that decides the answer: not of `api_key`,
    `purpose` or limits."""

    model: str
    messages: tuple[ChatMessage, ...]
    base_url: str
    """The endpoint, always named. May hold credential references; never a secret."""
    provider: str = "openai"
    """The name of a known provider (`loom_common.domain.model_options.providers`), which says how it is spoken
    to."""
    served_by: str | None = None
    """The provider as the pipeline names it, where that is a name of its own. Not part of the key."""
    temperature: float | None = 0.0
    """None leaves it to the model."""
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the answer must fit; None for free text."""
    tools: tuple[ToolSpec, ...] = ()
    """Describes what the model may use before it answers. Part of the key."""
    tools_closed: bool = False
    """Tells whether the tools are named, because the conversation used them, and none may be used any more."""
    embedding: bool = False
    """Tells whether the vectors of the messages are asked for, and not an answer to them. Part of the key."""
    dimensions: int | None = None
    """The length of each vector; None leaves it to the model. Part of the key."""
    api_key: str | None = None
    """A credential reference, resolved by the client as it calls. None: the provider's usual one, where it is set;
    empty: none."""
    purpose: str = "transform"
    """Says what it is paid for: `transform`, `evaluate`, `repair`, `fallback`, `sample`, `judge`, `refine`, `tools`."""
    again: int = 0
    """How often the same was asked before, and its answer was of no use. Part of the key: it is asked anew."""
    sample: int = 0
    """The number of this sample of a question that is asked several times, from 0. Part of the key."""
    timeout: float | None = None
    """Seconds one attempt may take; None for the client's own limits. Not part of the key."""
    rate_limit: RateLimit | None = None
    """Says how much all workers together may ask. Not part of the key."""
    concurrency: int | None = None
    """Such calls in flight at once, at most; None for the client's own limit. Not part of the key."""
    judged: float = 0.0
    """USD that it will cost to have models judge the answer, which a budget sets apart. Not part of the key."""
    extras: Extras = NOTHING_BESIDES
    """Says what is sent besides. Part of the key, with the references of its headers."""
    asking: Asking = ASKED_PLAINLY
    """Holds the seed, the reasoning, and whether probabilities are asked for. Part of the key where it decides the
    answer."""
    turns_alike: int = 0
    """Says how many of the first messages are the same for every record, and may be kept by the provider. Not part of
    the key."""
    sealed: bool = False
    """Tells whether it holds sensitive values. Its key is then one that nobody can guess them by, and its answer is
    kept encrypted."""
    batch_deadline: float | None = None
    """Says after how many seconds a call that waits for a provider's batch, which costs less, is asked directly; None
    for a call that waits for none. Not part of the key: the answer is the same."""


@per_record
class ModelAnswer:
    """Holds what a model said, and what it took."""

    text: str
    finish_reason: str
    """`stop` for a whole answer; else how it ended, by the names of `loom_ai.wire.finish`."""
    model: str
    """The model that answered, as the provider names it."""
    tokens_in: int
    tokens_cached: int
    """Counts the tokens of `tokens_in` that the provider had cached, and charges less for."""
    tokens_out: int
    latency: float
    """The number of seconds from question to answer."""
    estimated: bool = False
    """Tells whether a token count is Loom's estimate, because the provider's could not be used."""
    noted: tuple[str, ...] = ()
    """Says what the answer held besides text and was left out, by kind; of an unusable one, what is wrong with it."""
    cut_off: int = 0
    """Says how many answers to the same question were cut off before it by a limit that a budget had lowered."""
    tokens_written: int = 0
    """Counts the tokens of `tokens_in` that the provider put into its cache, and charges more for."""
    tokens_audio: int = 0
    """Counts the tokens of `tokens_in` that stand for recordings, as far as the provider tells."""
    tokens_image: int = 0
    """Counts the tokens of `tokens_in` that stand for images, as far as the provider tells."""
    logprobs: tuple[tuple[int, float], ...] | None = None
    """Holds the tokens of the text, each by its bytes in UTF-8 and by the natural logarithm of its probability. None
    where they were not asked for, or not given."""


@per_record
class Payer:
    """Names the record of a run on whose account a call is made. Two are equal that name the same record of the same
    run."""

    run_id: str
    record_id: str
    usage: Usage | None = field(default=None, compare=False, repr=False)
    """Where the record's calls are entered while its message is worked on, with the budget they must stay within. None:
    nobody counts them, and nothing limits them. The journal keeps payers without it."""

    @property
    def named(self) -> Payer:
        """Return the same record, without its usage."""
        return self if self.usage is None else Payer(self.run_id, self.record_id)


@per_record
class Entry:
    """Holds a paid answer as the journal keeps it."""

    key: str
    payer: Payer
    purpose: str
    provider: str
    model: str
    """The model that was asked for."""
    answer: ModelAnswer
    cost: float
    """Holds the cost in USD."""
    created_at: dt.datetime
    """A time in UTC, with its zone."""
    sealed: bool = False
    """Tells whether the text of the answer is to be kept encrypted."""


NOTED = "remembered"
"""The purpose of entries that are no paid answers."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Says what a journal holds of one model's answers."""

    provider: str
    model: str
    answers: int
    tokens_in: int
    tokens_out: int
    cost: float
    """An amount in USD that were paid for them."""
    oldest: dt.datetime
    newest: dt.datetime


class Waits(Protocol):
    """Learns when a call waits for its turn: that time is not the model's, and meanwhile another call may go."""

    def for_a_turn(self) -> AbstractAsyncContextManager[None]:
        """Count the time around the waiting as waiting for a turn. The call may have to wait at its end until it may go
        on."""
        ...

    def lend(self) -> None:
        """The call takes long: another one may go beside it."""
        ...


class BatchAnswers(Protocol):
    """Has calls answered by the batches of their providers."""

    async def obtain(
        self, key: str, call: ModelCall, payer: Payer, max_age: float | None, cut: Sequence[Entry] = ()
    ) -> ModelCall:
        """Have a call that the journal does not answer made part of a batch. Return the call as it is to be asked
        directly, where no batch will answer it any more. `max_age` is how many seconds an answer of another run may be
        old; `cut` are the answers that were cut off before.

        Raises `AnswersPending` while the answer is awaited, `RecordError` (code `model_refused`) where the provider
        refuses this one request, `PermanentError` where it refuses the batch, `BudgetExhausted`, and
        `DependencyUnavailable`."""
        ...

    async def answered(self, key: str) -> None:
        """Note that the call of that key was asked directly, and answered."""
        ...

    async def close(self) -> None:
        """Stop looking after batches, and release connections. Batches go on at their providers."""
        ...


class ModelClient(Protocol):
    """Sends calls to the endpoints of models, and returns their answers."""

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        """Return the answer. Tries transient trouble again by itself, for a while. `waits` is told when the call waits.

        Raises `DependencyUnavailable`, `Timeout`, `AccessRefused`, `PermanentError`; `RecordError` (code
        `model_refused`) where the endpoint refuses this one question."""
        ...

    async def close(self) -> None:
        """Release the connections that are open."""
        ...


class Journal(Protocol):
    """Answers by key. What `put_many` has returned for survives the death of this process."""

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of `keys` that are known. Raises `DependencyUnavailable`."""
        ...

    async def put_many(self, entries: Sequence[Entry]) -> None:
        """Keep `entries`, all or none; an entry takes the place of an older one of its key.

        Raises `DependencyUnavailable`."""
        ...

    async def kept(self) -> list[Kept]:
        """Return what is there, by provider and model. Raises `DependencyUnavailable`."""
        ...

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        """Forget all entries: those older than `before` and of `model`, where they are given. Gives how many.

        Raises `DependencyUnavailable`."""
        ...

    async def close(self) -> None:
        """Release the connections that are open."""
        ...
