"""Notes for how long the calls of one message pause, and why, so that a run can say so while nothing of it moves.

An upstream that answers "too many requests" is not away: its breaker stays closed, and the call itself waits until it
may be made again. The pauses belong to the message that is handled where they begin, and to the tasks begun for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from time import monotonic


@dataclass(frozen=True, slots=True)
class Pause:
    """Represents the time for which a call waits."""

    until: float
    """The end of the pause, in seconds of the monotonic clock."""
    reason: str


@dataclass(slots=True)
class Pauses:
    """Keeps the pauses that calls of one message make at present."""

    _all: dict[int, Pause] = field(default_factory=dict)

    def first_to_end(self) -> Pause | None:
        """Return the pause that ends before all others; None where no call pauses."""
        return min(self._all.values(), key=lambda pause: pause.until, default=None)

    @contextmanager
    def holding(self, pause: Pause) -> Iterator[None]:
        """Keep a pause within the block."""
        self._all[id(pause)] = pause
        try:
            yield
        finally:
            del self._all[id(pause)]


_OF_MESSAGE: ContextVar[Pauses | None] = ContextVar("pauses of the message", default=None)


def begin_to_note(mine: Pauses) -> Token[Pauses | None]:
    """Keep pauses from here on in `mine`, also those of tasks that are begun, until `end_to_note` is given what this
    returns."""
    return _OF_MESSAGE.set(mine)


def end_to_note(token: Token[Pauses | None]) -> None:
    """Keep pauses from here on where they were kept before."""
    _OF_MESSAGE.reset(token)


@contextmanager
def noted() -> Iterator[Pauses]:
    """Within the block, and in tasks begun there, pauses are kept in what this yields."""
    mine = Pauses()
    token = begin_to_note(mine)
    try:
        yield mine
    finally:
        end_to_note(token)


@contextmanager
def pausing(seconds: float, reason: str) -> Iterator[None]:
    """Note that a call waits for so long, within the block. `reason` is shown to people."""
    pauses = _OF_MESSAGE.get()
    if pauses is None:
        yield
        return
    with pauses.holding(Pause(monotonic() + seconds, reason)):
        yield
