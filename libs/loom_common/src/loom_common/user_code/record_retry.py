"""Makes a worker process records again: `on_failure: retry`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from loom_common.domain.run.recovery import pause_after
from loom_common.ports.clock import Clock

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 - an outcome


async def retried(
    records: Sequence[R],
    work: Callable[[Sequence[R], int], Awaitable[Sequence[O]]],
    failed: Callable[[O], bool],
    joined: Callable[[O, O], O],
    *,
    max_attempts: int,
    clock: Clock,
    jitter: Callable[[], float] = random.random,
) -> list[O]:
    """Return one outcome per record, in order. `work` is told how often the records were tried before; those that
    `failed` are tried again after a pause, and their earlier outcome is `joined` with the new one. Raises what `work`
    raises."""
    outcomes = list(await work(records, 0))
    for attempt in range(1, max_attempts):
        places = [place for place, outcome in enumerate(outcomes) if failed(outcome)]
        if not places:
            break
        await clock.sleep(pause_after(attempt, jitter()))
        renewed = await work([records[place] for place in places], attempt)
        for place, outcome in zip(places, renewed, strict=True):
            outcomes[place] = joined(outcomes[place], outcome)
    return outcomes
