"""Says in a sentence how far the batches of a run are. It does no I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from loom_ai.batches.requests.values import Batch, BatchState, Standing
from loom_ai.ports import ModelCall
from loom_common.domain.values.plural import counted

_NAMES = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "Google"}
_MINUTE, _HOUR = 60.0, 3600.0


def told(standing: Standing, call: ModelCall, now: dt.datetime) -> str:
    """Return the sentence: `waiting for OpenAI batch batch_1: 1,200 of 2,000 done, about 12 min left`."""
    provider = call.served_by or _NAMES.get(call.provider, call.provider)
    batches = standing.batches
    submitted = [each for each in batches if each.provider_id is not None]
    if not submitted:
        waiting = standing.waiting + sum(each.requests for each in batches)
        words = f"gathering {counted(waiting, 'request')} for a batch of {provider}"
        return _with_problem(words, batches)
    total, done = sum(each.requests for each in submitted), sum(each.done for each in submitted)
    which = f"batch {submitted[0].provider_id}" if len(submitted) == 1 else f"{len(submitted)} batches"
    words = f"waiting for {provider} {which}: {done:,} of {total:,} done"
    if all(each.state is BatchState.READING for each in submitted):
        words = f"{words}, results are being read"
    elif all(each.state is BatchState.CANCELLING for each in submitted):
        words = f"{words}, being cancelled"
    elif (left := _seconds_left(submitted, done, total, now)) is not None:
        words = f"{words}, about {_duration(left)} left"
    if standing.waiting:
        words = f"{words}; {counted(standing.waiting, 'request')} gathered for the next"
    return _with_problem(words, batches)


def _seconds_left(batches: list[Batch], done: int, total: int, now: dt.datetime) -> float | None:
    """Return how long the rest takes if it goes on as it went; None where nothing is known yet."""
    begun = [each.attempted_at for each in batches if each.attempted_at is not None]
    if not done or not begun or done >= total:
        return None
    return (now - min(begun)).total_seconds() * (total - done) / done


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.0f} h"


def _with_problem(words: str, batches: Iterable[Batch]) -> str:
    problem = next((each.problem for each in batches if each.problem), None)
    return words if problem is None else f"{words}. {problem}"
