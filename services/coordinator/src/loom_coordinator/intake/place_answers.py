"""Takes what extractors say of places in sources: for a request that waits for it, or for a stream that does."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from loom_common.contracts.v1 import PlaceFound, RunRequest
from loom_common.domain.values.ids import message_id
from loom_common.errors import ConfigurationError
from loom_common.logs.logger import log
from loom_common.ports.payloads import PayloadStore
from loom_coordinator.db import streams
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import open_streams, start_run
from loom_coordinator.intake.asking import audit, refusals, run_answers
from loom_coordinator.intake.asking.permissions import Permissions
from loom_coordinator.lifecycle import stream_windows
from loom_coordinator.lifecycle.streams import moves
from loom_coordinator.lifecycle.streams.moves import Move


@dataclass(frozen=True, slots=True)
class Waiting:
    """Says how to answer whoever has sent a request that waits."""

    reply_to: str | None
    correlation_id: str | None
    sender: str | None
    """The user of the broker who has sent it, where policies decide on what that user may do; else None."""

    def written(self) -> dict[str, str | None]:
        """Return the request as JSON values."""
        return asdict(self)


class PlaceAnswers:
    """Carries out what waits for a place."""

    def __init__(
        self, outbox: OutboxRelay, payloads: PayloadStore, permissions: Permissions, *, every_hop: bool
    ) -> None:
        self._outbox = outbox
        self._payloads = payloads
        self._permissions = permissions
        self._every_hop = every_hop

    async def take(self, fact: PlaceFound) -> None:
        """Go on with what waits. Twice is once. Raises `DependencyUnavailable`."""
        if fact.asked is None:
            async with self._outbox.unit() as unit:
                await go_on(unit, fact)
            return
        waiting = Waiting(**{name: fact.asked.get(name) for name in ("reply_to", "correlation_id", "sender")})
        request = RunRequest.model_validate(fact.asked["request"])
        try:
            async with self._outbox.unit() as unit:
                if await unit.first_time(message_id("place", fact.question)):
                    await self._carry_out(unit, fact, request, waiting)
        except ConfigurationError as error:
            await refusals.refuse(self._outbox, waiting, error, request, trusted=waiting.sender is None)

    async def _carry_out(self, unit: UnitOfWork, fact: PlaceFound, request: RunRequest, waiting: Waiting) -> None:
        if fact.error is not None:
            raise ConfigurationError(fact.error)
        act = None
        if waiting.sender is not None:
            act = await self._permissions.demand(unit, self._permissions.user(waiting.sender), request)
        accepted = await start_run.accept(
            unit,
            self._payloads,
            request,
            every_hop=self._every_hop,
            open_stream=open_streams.go_on,
            asking=waiting.written(),
            place=fact,
        )
        assert accepted is not None, "its place is found"
        if act is not None:
            await audit.note(unit, act, accepted)
        else:
            await audit.settle(unit, request, accepted)
        run_answers.answer(unit, waiting, accepted)
        run_answers.announce(unit, accepted)
        log.info("accepted", **accepted.model_dump(exclude={"epoch"}))


async def go_on(unit: UnitOfWork, fact: PlaceFound) -> None:
    """Open the next window of a stream that waits: at the place that was found, or, where the stream cannot go there,
    where it is."""
    await streams.lock_windows(unit, fact.stream)
    stream = await streams.lock(unit, fact.stream)
    move = None if stream is None else Move.of(stream)
    if stream is None or move is None or move.question != fact.question:
        return
    problem = fact.error or moves.in_the_way(stream, fact, again=move.again, now=unit.now)
    if problem is None:
        await streams.change(unit, fact.stream, **moves.moved(move.found(fact), stream.cursor))
    else:
        log.warning("the stream goes on where it is", stream=fact.stream, begin_at=fact.begin_at, reason=problem)
        await streams.change(unit, fact.stream, moving=None)
    await stream_windows.go_on(unit, fact.stream)
