"""Reports how far a worker is with the messages that it has in flight, and for what they wait where nothing of a run
moves because its calls pause.

Nothing is decided by these reports. A batch is done when its fact says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextvars import Token
from dataclasses import dataclass
from time import monotonic
from types import TracebackType

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchUnderWay, WorkUnderWay
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.resilience import pauses
from loom_common.resilience.pauses import Pauses
from loom_common.worker.context import Progress
from loom_common.worker.failure_messages import Batch, pausing, stage_of

SECONDS = 0.5
"""The number of seconds between two looks of a worker at its batches."""
REPEAT_SECONDS = 2.0
"""Says after how many seconds a report is sent again where nothing has changed: the coordinator soon forgets what it
was told, and may not have known the batch yet, or not have listened yet, when it was told first."""
STILL_SECONDS = 3.0
"""Says how long nothing of a run has to have moved in this worker before the run is told for what its calls pause."""
TELL_EVERY_SECONDS = 5.0
"""Says how often it is told."""


@dataclass(frozen=True, slots=True)
class _InFlight:
    """Holds a message that is being handled."""

    message: Message
    progress: Progress
    pauses: Pauses


@dataclass(slots=True)
class _Run:
    """Holds what was seen of the messages of one run."""

    seen: Sequence[tuple[int, float]] = ()
    """Says how far they were at the last look."""
    still_since: float = 0.0
    told_at: float = float("-inf")
    told: int = 0


class BatchProgress:
    """Keeps the progress of the messages that one worker has in flight."""

    def __init__(self, service: str, replica: str, bus: Bus) -> None:
        self._service = service
        self._replica = replica
        self._bus = bus
        self._in_flight: dict[int, _InFlight] = {}
        self._runs: dict[str, _Run] = {}

    def of(self, message: Message, progress: Progress) -> _Reported:
        """Within the block, the progress of the message is reported, and the pauses of its calls are noted."""
        return _Reported(self._in_flight, message, progress)

    async def run(self) -> None:
        """Report how far the batches are whenever that has changed, and now and then while it has not, until this is
        cancelled."""
        told: tuple[BatchUnderWay, ...] = ()
        told_at = 0.0
        while True:
            await asyncio.sleep(SECONDS)
            begun, now = tuple(self._begun()), monotonic()
            reports = list(self._waiting(now))
            if begun and (begun != told or now - told_at >= REPEAT_SECONDS):
                report = WorkUnderWay(service=self._service, replica=self._replica, batches=begun)
                reports.append(Outgoing(flow.fact("worker", "underway", self._service), report, mandatory=False))
                told_at = now
            if reports:
                await self._publish(reports)
            told = begun

    def _begun(self) -> Iterator[BatchUnderWay]:
        for each in list(self._in_flight.values()):
            batch, stage = each.message, stage_of(each.message)
            if stage is None or not isinstance(batch, Batch):
                continue
            if done := int(len(batch.records) * each.progress.share):
                header = batch.header
                yield BatchUnderWay(
                    run_id=header.run_id, batch_id=header.batch_id, epoch=header.epoch, stage=stage, done=done
                )

    def _waiting(self, now: float) -> Iterator[Outgoing]:
        """Yield the facts about pauses that are due."""
        by_run: dict[str, list[_InFlight]] = {}
        for each in list(self._in_flight.values()):
            by_run.setdefault(each.message.correlation_id, []).append(each)
        self._runs = {run_id: self._runs.get(run_id) or _Run(still_since=now) for run_id in by_run}
        for run_id, messages in by_run.items():
            run, seen = self._runs[run_id], [(id(each.progress), each.progress.share) for each in messages]
            if seen != run.seen:
                run.seen, run.still_since = seen, now
            elif now - run.still_since >= STILL_SECONDS and now - run.told_at >= TELL_EVERY_SECONDS:
                yield from self._paused(run, messages, now)

    def _paused(self, run: _Run, messages: Sequence[_InFlight], now: float) -> Iterator[Outgoing]:
        found = [(pause, each.message) for each in messages if (pause := each.pauses.first_to_end()) is not None]
        pause, message = min(found, key=lambda pair: pair[0].until, default=(None, None))
        if pause is not None and message is not None and pause.until - now >= 1.0:
            run.told, run.told_at = run.told + 1, now
            cause = f"{self._replica}/{message.correlation_id}/{run.told}"
            yield from pausing(message, pause.reason, pause.until - now, cause)

    async def _publish(self, reports: Sequence[Outgoing]) -> None:
        try:
            await self._bus.publish([encode(each, self._service) for each in reports])
        except LoomError as error:
            log.debug("progress not reported", error=str(error))


class _Reported:
    """Keeps a message among those in flight within a block. It is a class, because every message passes it, and a
    generator takes longer."""

    __slots__ = ("_all", "_message", "_progress", "_token")
    _token: Token[Pauses | None]

    def __init__(self, in_flight: dict[int, _InFlight], message: Message, progress: Progress) -> None:
        self._all = in_flight
        self._message = message
        self._progress = progress

    def __enter__(self) -> None:
        mine = Pauses()
        self._token = pauses.begin_to_note(mine)
        self._all[id(self._progress)] = _InFlight(self._message, self._progress, mine)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._all[id(self._progress)]
        pauses.end_to_note(self._token)
