"""Whether and when a message is tried again. Pure: a decision from an error and a count."""

from __future__ import annotations

from dataclasses import dataclass

from loom_common.errors import TransientError
from loom_common.flow import RETRY_LADDER

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
"""Seconds between the attempts of one record in a worker's hands (`on_failure: retry`), doubling."""

UNEXPECTED_RETRIES = 1
"""An error nobody foresaw is most often a defect: one more attempt, then the batch is set aside."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Wait on this rung of the ladder, then deliver again."""

    step: int

    @property
    def delay(self) -> float:
        """Seconds."""
        return RETRY_LADDER[self.step]


def decide(error: Exception, attempt: int, *, lasting: bool = False) -> Retry | None:
    """What follows the `attempt`-th failure (1-based); None for: no more attempts.

    A `retry_after` that the other side asked for is obeyed by the first rung that is long enough. `lasting` is for
    messages that nobody else could take over, such as records on their way into quarantine: while their trouble is
    transient they stay on the last rung for as long as it takes."""
    if lasting and isinstance(error, TransientError):
        attempt = min(attempt, len(RETRY_LADDER))
    rungs = len(RETRY_LADDER) if isinstance(error, TransientError) else UNEXPECTED_RETRIES
    if attempt > rungs:
        return None
    step = attempt - 1
    wanted = error.retry_after if isinstance(error, TransientError) else None
    while wanted is not None and step < len(RETRY_LADDER) - 1 and RETRY_LADDER[step] < wanted:
        step += 1
    return Retry(step)


def rung_until(seconds: float) -> Retry:
    """The longest wait on the ladder that ends within `seconds`; the shortest where none does."""
    within = [step for step, delay in enumerate(RETRY_LADDER) if delay <= seconds]
    return Retry(within[-1] if within else 0)


def pause_after(failed: int, jitter: float) -> float:
    """Seconds between a record's `failed`-th failure (1-based) and its next attempt; `jitter` in [0, 1) spreads."""
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failed - 1)) * (0.5 + jitter / 2))
