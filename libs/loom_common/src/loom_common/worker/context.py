"""Defines what a handler is given beside its message."""

from __future__ import annotations

from dataclasses import field

from loom_common.domain.run.attempts import Attempt
from loom_common.domain.values.per_record import per_record
from loom_common.ports.clock import Clock, SystemClock
from loom_common.worker.consuming.in_flight import InFlightMessage
from loom_common.worker.usage import StepBook, Usage


class Progress:
    """Tells how much of one message is done. The worker reports it to those who watch a run, and decides by it how many
    messages may be in flight.

    The two differ in what they count. A report counts every part. What may be in flight depends on the parts that wait
    for the answer of a model: a batch that computes occupies this process until its last record, one that waits for
    its last answers does not."""

    __slots__ = ("_done", "_in_flight", "_parts")

    def __init__(self, parts: int = 1, in_flight: InFlightMessage | None = None) -> None:
        self._parts, self._done = max(1, parts), 0
        self._in_flight = in_flight or InFlightMessage()

    @property
    def share(self) -> float:
        """Return the share of the parts that are done, from 0 to 1."""
        return min(1.0, self._done / self._parts)

    def begin(self, parts: int, *, answers: int = 0, at_once: int | None = None) -> None:
        """The message consists of `parts`, none of which is done; `answers` of them wait for the answer of a model.
        `at_once`: how many answers, for this and other messages, the worker may wait for at the same time; None where
        nothing is configured."""
        self._parts, self._done = max(1, parts), 0
        if answers:
            self._in_flight.begin(answers, at_once)

    def one_done(self) -> None:
        """One part is done. May be called from any thread."""
        self._done += 1

    def one_answered(self) -> None:
        """Note that one part that waited for the answer of a model is done. Called in the worker's event loop."""
        self._done += 1
        self._in_flight.one_done()


@per_record
class Context:
    """Describes what a handler is given beside its message, for one attempt at it. The defaults suit a message that
    comes from no worker."""

    attempt: Attempt = field(default_factory=Attempt)
    usage: Usage = field(default_factory=Usage)
    """Model calls made for the message are entered here; the facts about the message report them."""
    progress: Progress = field(default_factory=Progress)
    clock: Clock = field(default_factory=SystemClock)
    steps: StepBook = field(default_factory=StepBook)
    """What became of its records in each step of a transform is entered here, likewise."""
