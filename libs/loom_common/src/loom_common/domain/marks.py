"""What is known of a batch whose processing began and did not end: which of its records takes its worker down.

The process that was at work on it died, or the whole machine did. A record that was started and never finished,
twice, is poison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from loom_common.errors import RecordError

POISON = "poison"
TIMEOUT = "timeout"
STRIKES = 2
"""Deaths of a worker on one record before that record is kept away from workers."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A batch in somebody's hands."""

    by: str
    """The process that has it in its hands; empty where none has."""
    begun: int = 0
    """How often processes died with it in their hands."""
    started: str | None = None
    """The one record that is being processed, where they are taken one by one."""
    strikes: Mapping[str, int] = field(default_factory=dict)
    """Record -> how often it was started and never finished."""
    hung: Sequence[str] = ()
    """Records that never came back, until their process was replaced."""

    def taken_over(self, by: str) -> Mark:
        """Begun again by `by`. Where another process had it, that one died: what it had started has a strike."""
        if self.by in ("", by):
            return replace(self, by=by)
        strikes = dict(self.strikes)
        if self.started is not None:
            strikes[self.started] = strikes.get(self.started, 0) + 1
        return replace(self, by=by, begun=self.begun + 1, started=None, strikes=strikes)

    def starting(self, record: str) -> Mark:
        """One record is about to be processed, and nothing else is."""
        return replace(self, started=record)

    def hanging(self, records: Sequence[str]) -> Mark:
        """These records hang, and the process is about to end for it."""
        return replace(self, by="", started=None, hung=tuple(dict.fromkeys((*self.hung, *records))))

    def set_down(self) -> Mark | None:
        """The batch is given back by a process that lives: what stays to be known of it, if anything."""
        kept = replace(self, by="", begun=0, started=None)
        return kept if kept.strikes or kept.hung else None

    def verdict(self, record: str) -> RecordError | None:
        """Why a record must not be processed again; None where it may."""
        if record in self.hung:
            return RecordError(
                "The record did not come back in time, and its worker had to be replaced. See `timeouts.record`",
                code=TIMEOUT,
            )
        times = self.strikes.get(record, 0)
        if times < STRIKES:
            return None
        return RecordError(
            f"The record took its worker down {times} times: it was started alone, and never finished",
            code=POISON,
            details={"started": times},
        )

    def as_json(self) -> dict[str, Any]:
        """For a store."""
        return asdict(self)

    @staticmethod
    def of_json(value: Mapping[str, Any]) -> Mark:
        """The mark that `as_json` gave."""
        return Mark(**{**value, "hung": tuple(value["hung"])})
