"""Says which steps of plans a process takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """Says which steps a process of a cluster takes: those of the queues of its steps, or those without a queue of
    their own."""

    steps: frozenset[str] = frozenset()
    """Names the steps whose own queues it consumes; none for the transformers' queue."""

    def takes(self, queue: str | None) -> bool:
        """Tell whether it takes what comes over the own queue of that step, or with None over the transformers'."""
        return queue in self.steps if self.steps else queue is None
