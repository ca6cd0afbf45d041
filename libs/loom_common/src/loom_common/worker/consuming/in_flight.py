"""The messages that a worker has in flight, counted by what is left to do of them.

A message is settled when its last record is done. Where one record in a hundred takes long - a call that hangs, an
endpoint that asks to wait - most batches have such a record, and a batch that only waits for one counts for nearly
nothing. So a handler says of how many parts its message is and how many of them are done. What it says decides how many
subscriptions the worker has: see `subscriptions.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType


@dataclass(frozen=True, slots=True)
class WorkInFlight:
    """Describes what a worker has in flight at one moment."""

    messages: int
    """The number of messages that are not acknowledged."""
    left: float
    """Says what is still to be done of them, in messages."""
    parts_left: float = 0.0
    """Holds the work left in parts (records, questions), where handlers said how many of those they may work on at
    once."""
    at_once: int = 0
    """Says how many parts may be worked on at once; 0 where no handler said it."""


class InFlightMessage:
    """Represents one message of a worker's, and counts how much of it is done."""

    __slots__ = ("_began", "_changed", "_done", "_of", "_seconds", "_told", "at_once", "of_parts")

    def __init__(
        self,
        changed: Callable[[float], None] = lambda _: None,
        told: Callable[[int, int], None] = lambda _parts, _at_once: None,
    ) -> None:
        """Take two functions: `changed` is told by how much what is left of the message became less; `told`, once, of
        how many parts it is and how many of those may be worked on at once, where the handler says that."""
        self._changed = changed
        self._told = told
        self.at_once: int | None = None
        self.of_parts = 1
        """Says of how many parts it was where that was said together with `at_once`."""
        self._of, self._done = 1, 0
        self._began, self._seconds = monotonic(), 0.0

    @property
    def left(self) -> float:
        """Return the share that is left, from 1 to 0."""
        return 1 - self._done / self._of

    def begin(self, parts: int = 1, at_once: int | None = None) -> None:
        """Note that the message is of so many parts (records, questions), none of which is done. `at_once`: how many
        parts, of this and other messages, the worker may work on at the same time; None where nothing is configured."""
        self._seconds, self._began = self.seconds(), monotonic()
        if at_once is not None and self.at_once is None:
            self.at_once, self.of_parts = at_once, max(1, parts)
            self._told(self.of_parts, at_once)
        self._changed(self.left - 1)
        self._of, self._done = max(1, parts), 0

    def one_done(self) -> None:
        """Note that one of the parts is done. Who does a part again may say so again."""
        if self._done < self._of:
            self._done += 1
            self._seconds += (monotonic() - self._began) / self._of
            self._changed(1 / self._of)

    def seconds(self) -> float:
        """Return what it took so far, a part on average: one record that takes long makes no batch slow."""
        return self._seconds + self.left * (monotonic() - self._began)


class InFlightMessages:
    """Counts all messages that a worker has in flight. `on_change` is called whenever what is left of them changes."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._messages = 0
        self._left = 0.0
        self._told_messages = self._told_parts = 0
        """Count the messages in flight whose handlers said how many parts may be worked on at once, and their parts."""
        self._at_once: Counter[int] = Counter()

    @property
    def work(self) -> WorkInFlight:
        """Return the work in flight as it is now. Messages whose handlers have said nothing yet are taken to be like
        those that have."""
        if not self._told_messages:
            return WorkInFlight(self._messages, self._left)
        mean = self._told_parts / self._told_messages
        return WorkInFlight(self._messages, self._left, self._left * mean, max(self._at_once))

    def one(self) -> _OneMore:
        """Within the block, one more message is in flight: the one that the block is given."""
        return _OneMore(self)

    def begun(self) -> InFlightMessage:
        """Return one more message that is in flight, until it has `ended`."""
        message = InFlightMessage(self._less, self._told)
        self._messages += 1
        self._less(-1.0)
        return message

    def ended(self, message: InFlightMessage) -> None:
        """Note that the message is in flight no more."""
        self._messages -= 1
        if message.at_once is not None:
            self._forget(message.of_parts, message.at_once)
        self._less(message.left)

    def _less(self, by: float) -> None:
        self._left -= by
        self.on_change()

    def _told(self, parts: int, at_once: int) -> None:
        self._told_messages += 1
        self._told_parts += parts
        self._at_once[at_once] += 1

    def _forget(self, parts: int, at_once: int) -> None:
        self._told_messages -= 1
        self._told_parts -= parts
        self._at_once[at_once] -= 1
        if not self._at_once[at_once]:
            del self._at_once[at_once]


class _OneMore:
    """Counts one message as in flight within a block. It is a class, because every message passes it, and a generator
    takes longer."""

    __slots__ = ("_all", "_message")
    _message: InFlightMessage

    def __init__(self, all_messages: InFlightMessages) -> None:
        self._all = all_messages

    def __enter__(self) -> InFlightMessage:
        self._message = self._all.begun()
        return self._message

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.ended(self._message)
