"""Implements a circuit breaker as a state machine. It does no I/O: callers pass in the time and the results of calls.

Closed, it admits every call. After `failures` consecutive failures it opens and admits none for `open_seconds`. It is
then half-open and admits one probe at a time: `successes` consecutive successful probes close it, and one failure opens
it again.

Calls are consecutive in the order in which they began. Calls that hang end long after calls that began later, and
several may time out at once. If a later call was answered, such failures do not count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from loom_common.domain.values.per_record import per_record


class State(StrEnum):
    """Lists the three states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Policy:
    """Says when a breaker opens and closes."""

    failures: int = 5
    """Consecutive failures that open it."""
    open_seconds: float = 60.0
    successes: int = 3
    """Consecutive successful probes that close it."""


@per_record
class Ticket:
    """Permits a call. The call's result counts only if the breaker's state has not changed since it began."""

    opening: int
    probe: bool
    number: int
    """The number of the call, in the order in which calls began."""


@dataclass(slots=True)
class Breaker:
    """Represents the breaker of one upstream. All times are seconds of one monotonic clock."""

    policy: Policy = Policy()
    state: State = State.CLOSED
    failures: int = 0
    """The number of calls that failed since one last succeeded."""
    successes: int = 0
    """The number of probes that succeeded since the breaker opened."""
    opening: int = 0
    """Says how often it opened."""
    opened_at: float = 0.0
    probing: bool = False
    probed_at: float = 0.0
    """Says when the last probe began."""
    begun: int = 0
    """The number of calls that began."""
    answered: int = 0
    """The number of the latest call that was answered."""

    def admit(self, now: float) -> Ticket | None:
        """Return the permission to call; None where the call must not be made, or not yet (see `probe_in`)."""
        if self.state is State.OPEN and self.probe_in(now) <= 0:
            self.state, self.successes, self.probing = State.HALF_OPEN, 0, False
        if self.state is State.CLOSED:
            return self._ticket(probe=False)
        if self.state is State.OPEN or self.probing:
            return None
        self.probing, self.probed_at = True, now
        return self._ticket(probe=True)

    def probe_in(self, now: float) -> float:
        """Return the seconds until the next probe; 0 where it is not open."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, self.opened_at + self.policy.open_seconds - now)

    def succeeded(self, ticket: Ticket) -> None:
        """Record that the call was answered."""
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
        """Record that the call failed because of the upstream."""
        if not self._counts(ticket) or ticket.number < self.answered:
            return
        self.failures += 1
        if ticket.probe or self.failures >= self.policy.failures:
            self.state, self.opened_at, self.probing = State.OPEN, now, False
            self.opening += 1

    def abandoned(self, ticket: Ticket) -> None:
        """Record that the call ended without showing whether the upstream works."""
        if ticket.probe and self._counts(ticket):
            self.probing = False

    def _ticket(self, *, probe: bool) -> Ticket:
        self.begun += 1
        return Ticket(self.opening, probe, self.begun)

    def _counts(self, ticket: Ticket) -> bool:
        state = State.HALF_OPEN if ticket.probe else State.CLOSED
        return ticket.opening == self.opening and self.state is state
