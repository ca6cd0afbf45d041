"""Counts the records of a run, one after another, that got nothing of use from a model: whose fault is it?

An endpoint that answers is there, so one useless answer or one refused question is its record's own affair. Where the
last records, all different, fared alike and none was answered, the endpoint or the pipeline is at fault: the run ends
with that, instead of asking as often as there are records."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cachetools import LRUCache

from loom_ai.http.http_errors import REFUSED
from loom_ai.ports import ModelAnswer, ModelCall, Payer
from loom_ai.wire.finish import UNUSABLE
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError, UpstreamUnusable
from loom_common.ports.clock import Clock, SystemClock

LONGEST = 10
"""Different records without an answer between them, at which the run ends."""
_FORGOTTEN_SECONDS = 60.0
"""After a pause of this length a streak begins anew: somebody may have mended what was wrong."""
_REMEMBERED = 200
_SHOWN = 200
"""Characters of a useless answer in the error of the run."""
_ID = re.compile(r"\b(?=\w*\d)[\w-]{8,}\b")
"""Says what differs from one refusal to the next, e.g. the id of a request."""


@dataclass(slots=True)
class _Streak:
    kind: str
    records: set[str] = field(default_factory=set)
    seen_at: float = 0.0


class Streaks:
    """Counts the streaks of one process: by run, endpoint and model."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._streaks: LRUCache[tuple[str, str, str], _Streak] = LRUCache(_REMEMBERED)

    def answered(self, call: ModelCall, payer: Payer, answer: ModelAnswer) -> None:
        """Note that an answer came. Raises `UpstreamUnusable` where it is of no use, like the last ones."""
        if answer.finish_reason != UNUSABLE:
            if self._streaks:
                self._streaks.pop(_place(call, payer), None)
            return
        why = answer.noted[0] if answer.noted else "no answer of its protocol"
        if self._lengthened(call, payer, UNUSABLE):
            sent = f" It sent: {answer.text[:_SHOWN]}" if answer.text.strip() else ""
            raise UpstreamUnusable(
                f"{_named(call)} sent the last {LONGEST} different records responses that are no answers ({why}). See "
                f"that `base_url` is the provider's endpoint (it often ends in /v1), and that it is well.{sent}"
            )

    def refused(self, call: ModelCall, payer: Payer, error: RecordError) -> None:
        """The endpoint would not take the question. Raises `UpstreamUnusable` where it said so of the last ones."""
        if error.code != REFUSED:
            return
        said = _ID.sub("#", str(error.details.get("error", "")))
        if self._lengthened(call, payer, f"refused: {error.details.get('status')} {said}"):
            raise UpstreamUnusable(
                f"{error}. It said so of the last {LONGEST} different records, and answered none. Change what the "
                "pipeline sends (`model`, `params`, `max_tokens`, `temperature`, `output`), then run it again."
            )

    def _lengthened(self, call: ModelCall, payer: Payer, kind: str) -> bool:
        """Tell whether the streak is long enough to tell."""
        place, now = _place(call, payer), self._clock.monotonic()
        streak = self._streaks.get(place)
        if streak is None or streak.kind != kind or now - streak.seen_at > _FORGOTTEN_SECONDS:
            streak = self._streaks[place] = _Streak(kind)
        streak.seen_at = now
        if len(streak.records) < LONGEST:
            streak.records.add(payer.record_id)
        return len(streak.records) >= LONGEST


def _place(call: ModelCall, payer: Payer) -> tuple[str, str, str]:
    return payer.run_id, call.base_url, call.model


def _named(call: ModelCall) -> str:
    return f"model {call.model} at {redacted(call.base_url)}"
