"""Describes what a worker consumes: a queue, and for each kind of message its handler and the router of the handler's
result; and what may stand between the two, the carrier of an engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from loom_common.contracts.envelope import Message, Outgoing
from loom_common.errors import UnreadableMessage
from loom_common.worker.context import Context

M = TypeVar("M", bound=Message)
Result = TypeVar("Result")

Handler = Callable[[M, Context], Awaitable[Result]]
"""A function of its message: it gives a result in terms of records, or raises `TransientError` (the message comes
again later) or `PermanentError` (the run cannot go on)."""

Router = Callable[[M, Result, Context], Sequence[Outgoing]]
"""Holds the messages that follow from a message and the result of its handler; see `router.py`."""


class Accepted(Protocol):
    """Represents one kind of message that a worker accepts."""

    @property
    def kind(self) -> type[Message]:
        """Return the type of the message."""
        ...

    async def outgoing(self, message: Message, context: Context) -> Sequence[Outgoing]:
        """Handle a message of that kind. Gives the messages that follow from it, and raises what its handler raises."""
        ...


@dataclass(frozen=True, slots=True)
class Accepts(Generic[M, Result]):
    """Binds a type of message to its handler, and the handler's result to its router."""

    kind: type[M]
    handler: Handler[M, Result]
    router: Router[M, Result]

    async def outgoing(self, message: Message, context: Context) -> Sequence[Outgoing]:
        if not isinstance(message, self.kind):
            raise UnreadableMessage(f"{message.type} came where {self.kind.type} was expected")
        return self.router(message, await self.handler(message, context), context)


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """Describes what a worker does: the queue it takes from, what it accepts, and what it does with it."""

    queue: str
    accepts: tuple[Accepted, ...]
    prefetch: int = 16
    """The number of messages that a subscription may hold; `subscriptions.py` decides how many subscriptions there
    are."""

    @property
    def kinds(self) -> tuple[type[Message], ...]:
        """The types of the messages it accepts."""
        return tuple(each.kind for each in self.accepts)

    async def handle(self, message: Message, context: Context) -> Sequence[Outgoing]:
        """Return the messages that follow from a message. Raises what its handler raises."""
        for each in self.accepts:
            if isinstance(message, each.kind):
                return await each.outgoing(message, context)
        raise UnreadableMessage(f"{message.type} is not accepted on {self.queue}")


Handle = Callable[[Message, Context], Awaitable[Sequence[Outgoing]]]
"""Handles a message: `ConsumerSpec.handle`."""


class Carrier(Protocol):
    """Stands between a worker and the handlers of its stage, where an engine has books, retries or processes of its
    own. A message is one piece of work: a slice to read, a batch to transform, a load to finalize."""

    async def carry(self, message: Message, context: Context, handle: Handle) -> Sequence[Outgoing]:
        """Return what `handle` makes of the message. It may be called several times, each time with the number of the
        attempt in the context; what is paid for stays entered there. Raises what it raised, and `GivenUp` for an error
        after which the carrier has tried again as often as it may."""
        ...


class GivenUp(Exception):
    """Reports that a message was tried `attempts` times, and is not to be tried again."""

    def __init__(self, error: Exception, attempts: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.attempts = attempts
