"""Lets a stream wait for a source that went away, however long that takes, and say so."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loom_common.domain.run.plan import Plan
from loom_common.domain.values.urls import redacted
from loom_common.errors import BreakerOpen, DependencyUnavailable, NeverReached

_PROBE_SECONDS = 2.0


@dataclass(slots=True)
class _Lost:
    since: float
    times: int = 0


class LostSources:
    """Knows which sources of streams are away. A batch run gives a source up after its last attempt; a stream has no
    last attempt."""

    def __init__(self) -> None:
        self._lost: dict[str, _Lost] = {}

    @asynccontextmanager
    async def of(self, plan: Plan) -> AsyncIterator[None]:
        """Raise `BreakerOpen` within a window of a stream where its source is away, which counts no attempt."""
        if plan.stream is None:
            yield
            return
        try:
            yield
        except DependencyUnavailable as error:
            if isinstance(error, BreakerOpen) and not isinstance(error, NeverReached):
                raise
            lost = self._lost.setdefault(plan.stream, _Lost(time.monotonic()))
            lost.times += 1
            raise BreakerOpen(
                f"source {redacted(plan.pipeline.extract.source)}",
                probe_in=max(_PROBE_SECONDS, error.retry_after or 0),
                opened_for=time.monotonic() - lost.since,
                opening=lost.times,
                reason=str(error),
            ) from error
        else:
            self._lost.pop(plan.stream, None)
