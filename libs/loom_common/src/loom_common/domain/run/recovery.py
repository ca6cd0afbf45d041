"""Decides from an error and the attempt number whether and when a message is tried again. It does no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from loom_common.errors import TransientError
from loom_common.flow import RETRY_DELAYS

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
"""The longest pause in seconds between attempts at a record within a worker (`on_failure: retry`). Pauses double."""

UNEXPECTED_RETRIES = 1
"""Retries after an unexpected error, which is most often a defect. After them the batch is quarantined."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Decides on a retry after the delay of this step of the retry delays."""

    step: int

    @property
    def delay(self) -> float:
        """Return the delay in seconds."""
        return RETRY_DELAYS[self.step]


def decide(error: Exception, attempt: int, *, lasting: bool = False) -> Retry | None:
    """Return the retry after the `attempt`-th failure (1-based); None where there is none.

    A `retry_after` that the upstream asked for is met by the first step that is long enough. `lasting` is for messages
    that must not be lost, such as records for the quarantine: transient errors are retried at the last step without
    limit."""
    if lasting and isinstance(error, TransientError):
        attempt = min(attempt, len(RETRY_DELAYS))
    retries = len(RETRY_DELAYS) if isinstance(error, TransientError) else UNEXPECTED_RETRIES
    if attempt > retries:
        return None
    step = attempt - 1
    wanted = error.retry_after if isinstance(error, TransientError) else None
    while wanted is not None and step < len(RETRY_DELAYS) - 1 and RETRY_DELAYS[step] < wanted:
        step += 1
    return Retry(step)


def delay_within(seconds: float) -> Retry:
    """Return the longest delay that ends within `seconds`, or the shortest where none does."""
    within = [step for step, delay in enumerate(RETRY_DELAYS) if delay <= seconds]
    return Retry(within[-1] if within else 0)


def pause_after(failed: int, jitter: float) -> float:
    """Return the seconds between a record's `failed`-th failure (1-based) and its next attempt. `jitter` is in [0,
    1)."""
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failed - 1)) * (0.5 + jitter / 2))
