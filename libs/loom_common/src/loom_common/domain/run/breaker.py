"""A circuit breaker as a state machine. Pure: it is told the time and what happened, and says who may go.

Closed: everyone may. After `failures` in a row it is open: nobody may for `open_seconds`. Then half-open: one probe
at a time may; `successes` of them in a row close it, one failure opens it again.

A row is one of calls in the order they began. Calls that hang end long after others that began later, and several at
once where their timeouts fall together: if a later one was answered, they say nothing of the upstream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Policy:
    """When a breaker opens and closes."""

    failures: int = 5
    """In a row, until it opens."""
    open_seconds: float = 60.0
    successes: int = 3
    """Of probes in a row, until it closes."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to call. What comes of a call counts only while the breaker is still as it was when the call began."""

    opening: int
    probe: bool
    number: int
    """In the order of beginning."""


@dataclass(slots=True)
class Breaker:
    """Of one upstream. Times are seconds of one clock that never goes back."""

    policy: Policy = Policy()
    state: State = State.CLOSED
    failures: int = 0
    """In a row."""
    successes: int = 0
    """Of probes in a row."""
    opening: int = 0
    """How often it opened."""
    opened_at: float = 0.0
    probing: bool = False
    probed_at: float = 0.0
    """When the last probe began."""
    begun: int = 0
    """Calls so far."""
    answered: int = 0
    """The number of the latest call that was answered."""

    def admit(self, now: float) -> Ticket | None:
        """Leave to call; None where the answer is no, or not yet: see `probe_in`."""
        if self.state is State.OPEN and self.probe_in(now) <= 0:
            self.state, self.successes, self.probing = State.HALF_OPEN, 0, False
        if self.state is State.CLOSED:
            return self._ticket(probe=False)
        if self.state is State.OPEN or self.probing:
            return None
        self.probing, self.probed_at = True, now
        return self._ticket(probe=True)

    def probe_in(self, now: float) -> float:
        """Seconds until the next probe; 0 where it is not open."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, self.opened_at + self.policy.open_seconds - now)

    def succeeded(self, ticket: Ticket) -> None:
        """The call was answered."""
        if not self._counts(ticket):
            return
        self.failures = 0
        self.answered = max(self.answered, ticket.number)
        if ticket.probe:
            self.probing = False
            self.successes += 1
            if self.successes >= self.policy.successes:
                self.state = State.CLOSED

    def failed(self, ticket: Ticket, now: float) -> None:
        """The upstream was not there for the call."""
        if not self._counts(ticket) or ticket.number < self.answered:
            return
        self.failures += 1
        if ticket.probe or self.failures >= self.policy.failures:
            self.state, self.opened_at, self.probing = State.OPEN, now, False
            self.opening += 1

    def abandoned(self, ticket: Ticket) -> None:
        """The call ended without a word about the upstream."""
        if ticket.probe and self._counts(ticket):
            self.probing = False

    def _ticket(self, *, probe: bool) -> Ticket:
        self.begun += 1
        return Ticket(self.opening, probe, self.begun)

    def _counts(self, ticket: Ticket) -> bool:
        state = State.HALF_OPEN if ticket.probe else State.CLOSED
        return ticket.opening == self.opening and self.state is state
