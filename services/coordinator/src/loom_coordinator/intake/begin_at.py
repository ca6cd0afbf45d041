"""Takes requests that have a stream begin at a place of its source: an extractor is asked for it first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import FindPlace, PlaceFound, RunRequest
from loom_common.domain.values.ids import message_id
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_coordinator.db import streams
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle.streams import moves

if TYPE_CHECKING:
    from loom_common.domain.definition.pipeline import Pipeline
    from loom_common.domain.run.plan import Plan
    from loom_common.ports.payloads import PayloadStore


Start = Callable[[UnitOfWork, str], Awaitable[None]]
"""Has the next window of a stream begin at a place that was found."""


def see_that_it_ends(request: RunRequest, pipeline: Pipeline, *, is_stream: bool) -> None:
    """Raise `ConfigurationError` where a stream is asked for what only a run can do that ends. Pure."""
    if is_stream and request.full_refresh:
        raise ConfigurationError(
            f"The pipeline {pipeline.name} is a stream, which takes what comes and never all of its source. Leave out "
            "`full_refresh` (`--full-refresh`): `loom run --from start --again` begins at the start once more, where "
            "the source has one."
        )


def see_that_it_can(request: RunRequest, pipeline: Pipeline, *, is_stream: bool) -> None:
    """Raise `ConfigurationError` where a request cannot say where to begin. Pure."""
    if request.begin_at is None:
        raise ConfigurationError(
            "`again` takes once more what a stream has taken, from the place that `begin_at` (`--from`) names. Name "
            "one."
        )
    if not is_stream:
        advice = "`--full-refresh` reads all of it, and `extract.incremental.start` says where its first run begins"
        if pipeline.extract.incremental is None:
            advice = "a query, a pattern of files or a parameter (`params`) says which part of it"
        raise ConfigurationError(
            f"The pipeline {pipeline.name} is no stream, or this is a trial of it: a run reads its source as a whole, "
            f"and cannot begin at '{request.begin_at}'. Leave out `begin_at` (`--from`): {advice}."
        )
    if request.canary is not None:
        raise ConfigurationError(
            "A version on trial reads what its stream reads. Begin elsewhere first, by `loom run --from` without "
            "`--canary`, and try the version then."
        )


async def ask(
    unit: UnitOfWork, payloads: PayloadStore, request: RunRequest, plan: Plan, asking: Mapping[str, Any]
) -> None:
    """Ask an extractor for the place. Its answer brings the request back."""
    stream_id = streams.id_of(plan.pipeline)
    plan = plan.model_copy(update={"stream": stream_id, "window": None})
    message = FindPlace(
        question=uuid4().hex,
        stream=stream_id,
        pipeline=plan.pipeline.name,
        plan=await payloads.put(plan.encoded()),
        begin_at=str(request.begin_at),
        asked_at=unit.now,
        state=await moves.state_of(unit, stream_id),
        asked={**asking, "request": request.model_dump(mode="json")},
    )
    unit.send(Outgoing(flow.work(Stage.EXTRACT, plan.pipeline.name), message))


async def start_of(unit: UnitOfWork, request: RunRequest, place: PlaceFound) -> Start | None:
    """Return what has the next window of a stream begin at a place; None where a request of the same key did so."""
    key = request.idempotency_key
    if key is not None and not await unit.first_time(message_id("begin-at", place.stream, key)):
        return None

    async def start(unit: UnitOfWork, stream_id: str) -> None:
        await moves.begin(unit, stream_id, place, again=request.again, requested_by=request.requested_by)

    return start
