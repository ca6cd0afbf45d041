"""Counts the calls in flight to one model at one endpoint, and queues those that wait to be.

A call that hangs would keep its place until its timeout: at 1% of calls, 400 ms and 35 s, as many places as all others
need together. So a call that others overtake lends its place. Who is overtaken is counted, not timed: by Little's law
as many answers as there are places come in the time that one usually takes. Where an endpoint becomes slow for all,
answers become few, and nobody is overtaken."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from loom_ai.pacing.concurrency import Concurrency

OVERTAKEN = 3
"""Times the places: so many answers to others, and a call takes about so many times longer than usual."""
LENT = 3
"""Places on loan at most, for each there is."""


@dataclass(slots=True, eq=False)
class Stay:
    """Represents the stay of one call that was let in."""

    on_lent: Callable[[], None]
    """Called once, where its place is given to another while it goes on."""
    lent: bool = False


class Gate:
    """Lets in as many at once as its `concurrency` says, first come first served."""

    def __init__(self, concurrency: Concurrency) -> None:
        """Take a number that a person gave: then no more are let in because some of them are overtaken."""
        self.concurrency = concurrency
        self._lends = not concurrency.configured
        self._inside: OrderedDict[Stay, int] = OrderedDict()
        """In the order they came in, with how many answers there were by then."""
        self._lent = 0
        self._answers = 0
        self._waiting: deque[tuple[asyncio.Future[None], Stay]] = deque()

    @property
    def busy(self) -> bool:
        """Tell whether all that may be in flight is."""
        return len(self._inside) >= int(self.concurrency.limit)

    def enter_at_once(self, on_lent: Callable[[], None]) -> Stay | None:
        """Let in, where that is possible now; then `leave` must follow."""
        if self.busy or self._waiting:
            return None
        stay = Stay(on_lent)
        self._inside[stay] = self._answers
        return stay

    async def enter(self, on_lent: Callable[[], None]) -> Stay:
        """Wait for one's turn; `leave` must follow."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stay = Stay(on_lent)
        self._waiting.append((turn, stay))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled at once
                self.leave(stay)
            raise
        return stay

    def answered(self) -> None:
        """Note that an answer came, to one that is inside. Who has seen many come and go lends its place."""
        self._answers += 1
        while self._lends and self._inside and self._lent < LENT * int(self.concurrency.limit):
            stay, since = next(iter(self._inside.items()))
            if self._answers - since < OVERTAKEN * self.concurrency.limit:
                return
            del self._inside[stay]
            stay.lent = True
            self._lent += 1
            stay.on_lent()
            self._let_in()

    def leave(self, stay: Stay) -> None:
        """The call is over."""
        if stay.lent:
            self._lent -= 1
        else:
            del self._inside[stay]
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and not self.busy:
            turn, stay = self._waiting.popleft()
            if not turn.done():
                self._inside[stay] = self._answers
                turn.set_result(None)
