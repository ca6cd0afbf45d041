"""Finds by trying how many calls an endpoint takes at once: more while that brings more answers, fewer when it is
worse. Pure.

As TCP does it: the limit doubles until the first trouble, then grows by a few for every limit's worth of good answers.
A single 429 is the call's own affair: it waits. That too much is asked is said by a share of refusals, by several in a
row, or by the first answer of all. Where twice the calls in flight bring no more answers, they only wait longer at
the endpoint, and the limit goes back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SHARE_REFUSED = 0.2
"""Of the last answers, about forty: from here on, too much is asked."""
REFUSED_IN_A_ROW = 3
WORTH_MORE = 1.1
"""Times the answers that half as many calls brought: below it, the further ones bring nothing."""
_SEVERAL_SHARE = 8
"""Says how many in a row are several: of many calls in flight, an eighth."""
_FASTER = 4
"""Times one for every limit's worth: what a chance refusal took is soon won back."""
_APART = 1.3
"""Times a limit that another is compared with: closer ones differ by chance."""
_FIRST = 16
_FEWEST_JUDGED = 10
_WEIGHT = 1 / 40


@dataclass(slots=True)
class Concurrency:
    """Finds the concurrency of one model at one endpoint, as one process sees it."""

    ceiling: int
    configured: bool = False
    """Tells whether a person gave the ceiling: then it is begun with, and left only where the endpoint refuses
    calls."""
    limit: float = 0.0
    """Calls that may be in flight at once."""
    growing: bool = True
    """Tells whether no trouble was met yet."""
    _share: float = 0.0
    _in_a_row: int = 0
    _answers: int = 0
    _judged_after: float = _FEWEST_JUDGED
    _busy: int = 0
    _seconds: float = 0.0
    _limits: float = 0.0
    _ever: bool = False
    _brought: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Holds the limit, and the answers a second it brought; by its logarithm."""

    def __post_init__(self) -> None:
        self.limit = self.limit or float(self.ceiling if self.configured else min(_FIRST, self.ceiling))

    def answered(self, latency: float, *, busy: bool) -> None:
        """Note that an answer came after `latency` seconds. `busy`: all that may be in flight was, so that more might
        do good."""
        self._ever, self._in_a_row = True, 0
        self._share -= _WEIGHT * self._share
        self._answers += 1
        self._busy += busy
        self._seconds += latency
        self._limits += self.limit
        if busy:
            self.limit = min(self.ceiling, self.limit + (1.0 if self.growing else _FASTER / self.limit))
        if not self.configured and self._answers >= self._judged_after:
            self._judge()

    def refused(self) -> bool:
        """Note that the endpoint asked to slow down. Returns whether that says that too much is asked."""
        self._in_a_row += 1
        self._share += _WEIGHT * (1 - self._share)
        several = max(REFUSED_IN_A_ROW, self.limit / _SEVERAL_SHARE)
        if self._ever and self._in_a_row < several and self._share < SHARE_REFUSED:
            return False
        self._less(0.5)
        return True

    def _judge(self) -> None:
        """Judge by Little's law: what is in flight, divided by how long each takes, is how many a second are
        answered."""
        if self._seconds > 0 and self._busy > 0.8 * self._answers:
            limit = self._limits / self._answers
            brought = self._limits / self._seconds
            fewer = [known for known in self._brought.values() if known[0] * _APART <= limit]
            self._brought[int(math.log2(limit))] = (limit, brought)
            if fewer and brought < WORTH_MORE * max(fewer)[1]:
                self._less(0.75)
        self._begin()

    def _less(self, factor: float) -> None:
        self.limit = max(1.0, self.limit * factor)
        self.growing = False
        self._share, self._in_a_row = 0.0, 0
        self._begin()

    def _begin(self) -> None:
        self._answers, self._busy, self._seconds, self._limits = 0, 0, 0.0, 0.0
        self._judged_after = max(_FEWEST_JUDGED, self.limit)
