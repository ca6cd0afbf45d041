"""Limits the user's code in a worker's own process."""

from __future__ import annotations

from dataclasses import dataclass, field

from loom_common.user_code.threads import Threads


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits code that does not come back, so that it does not hold everything up."""

    threads: Threads = field(default_factory=Threads)
    seconds: float = 120.0
    """Limits the time for one record."""
