"""Whether and when a message is tried again. Pure: a decision from an error and a count."""

from __future__ import annotations

from dataclasses import dataclass

from loom_common.errors import TransientError
from loom_common.flow import RETRY_LADDER

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
