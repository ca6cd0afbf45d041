"""Defines the mark of a batch that was begun, which tells which record, if any, makes its worker's process die.

A mark that is found when a batch is begun was left by a process that died. A record that was started and not finished
twice is poison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from loom_common.errors import RecordError

POISON = "poison"
TIMEOUT = "timeout"
STRIKES = 2
"""The number of process deaths on one record after which the record is not processed again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known about a batch that was begun and has not ended."""

    by: str
    """The process that is processing the batch; empty where none is."""
    begun: int = 0
    """The number of processes that died while processing it."""
    started: str | None = None
    """The record that is being processed, where records are processed one by one."""
    strikes: Mapping[str, int] = field(default_factory=dict)
    """Says for each record how often it was started and not finished."""
    hung: Sequence[str] = ()
    """Records that did not return until their process was replaced."""

    def taken_over(self, by: str) -> Mark:
        """Return the mark after process `by` has begun the batch.

        Where another process had begun it, that one died, and the record that it had started gets a strike."""
        if self.by in ("", by):
            return replace(self, by=by)
        strikes = dict(self.strikes)
        if self.started is not None:
            strikes[self.started] = strikes.get(self.started, 0) + 1
        return replace(self, by=by, begun=self.begun + 1, started=None, strikes=strikes)

    def starting(self, record: str) -> Mark:
        """Return the mark while only this record is being processed."""
        return replace(self, started=record)

    def hanging(self, records: Sequence[str]) -> Mark:
        """Return the mark where these records hang and the process is about to end because of it."""
        return replace(self, by="", started=None, hung=tuple(dict.fromkeys((*self.hung, *records))))

    def set_down(self) -> Mark | None:
        """Return what remains known after a living process gives the batch back; None where nothing does."""
        kept = replace(self, by="", begun=0, started=None)
        return kept if kept.strikes or kept.hung else None

    def verdict(self, record: str) -> RecordError | None:
        """Return the error of a record that must not be processed again; None where it may."""
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
        """Return the mark as JSON values."""
        return asdict(self)

    @staticmethod
    def of_json(value: Mapping[str, Any]) -> Mark:
        """Return the mark that `as_json` wrote."""
        return Mark(**{**value, "hung": tuple(value["hung"])})
