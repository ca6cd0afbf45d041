"""Finds the places that people name in the sources of streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from loom_common.caching.plan_cache import PlanCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import FindPlace, PlaceFound
from loom_common.domain.definition.streams.api_source import inbox_in
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, LoomError, TransientError
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_connectors.ports.places import FoundPlace, NamedPlace, PlacedSource
from loom_connectors.ports.source import ReceivingSource, Source
from loom_extractor.sources.lost_sources import LostSources

OpenPlanned = Callable[[Plan], Awaitable[Source]]


class Places:
    """Answers where a stream would begin. Each question opens a source of its own, and receives nothing from it."""

    def __init__(self, plans: PlanCache, open_source: OpenPlanned, credentials: Credentials) -> None:
        self._plans = plans
        self._open_source = open_source
        self._credentials = credentials
        self._lost = LostSources()

    async def __call__(self, request: FindPlace, _: Context) -> PlaceFound:
        """Find a place. What is wrong is in the answer. Raises `TransientError` where the source is away and a stream
        waits for the answer, so that it is asked again; somebody who has just asked is told."""
        about: dict[str, Any] = {
            "question": request.question,
            "stream": request.stream,
            "pipeline": request.pipeline,
            "begin_at": request.begin_at,
            "asked": request.asked,
            "known_state": request.state,
        }
        plan = await self._plans.get(request.plan)
        try:
            async with self._lost.of(plan):
                found, seconds = await self._found(request, plan)
        except TransientError as error:
            if request.asked is None:
                raise
            reason = getattr(error, "reason", None)
            return PlaceFound(**about, error=str(reason or error))
        except LoomError as error:
            return PlaceFound(**about, error=str(error))
        return PlaceFound(
            **about,
            state=found.state,
            words=found.words,
            was=found.was,
            back=found.back,
            told_apart=seconds if found.told_apart else None,
            recent=found.recent,
        )

    async def _found(self, request: FindPlace, plan: Plan) -> tuple[FoundPlace, float]:
        """Return the place, and for how long the source knows its records again."""
        extract = plan.pipeline.extract
        await self._credentials.fetch(extract.source)
        source = await self._open_source(plan)
        try:
            if not isinstance(source, PlacedSource):
                raise ConfigurationError(_no_past(source, plan))
            async with within(
                durations.seconds(plan.pipeline.timeouts.extract),
                "Looking for a place in the source",
                "timeouts.extract",
            ):
                found = await source.place(NamedPlace(request.begin_at, request.asked_at), request.state)
            return found, source.remembered_seconds
        finally:
            await source.close()


def _no_past(source: Source, plan: Plan) -> str:
    extract = plan.pipeline.extract
    shown = redacted(extract.source)
    if inbox_in(extract.source) is not None:
        return (
            f"{shown} has records that were given over HTTP, each of which is taken once, so that a stream cannot "
            "begin elsewhere in it. Give the records again, by another request; those that were kept back come again "
            "by `loom quarantine replay`."
        )
    if isinstance(source, ReceivingSource):
        return (
            f"{shown} is a queue, which gives each message once and keeps none, so that a stream cannot begin "
            "elsewhere in it. Publish the messages again; those that were kept back come again by `loom quarantine "
            "replay`. A topic of Kafka and a stream of Redis keep what they have given."
        )
    return f"{shown} cannot say where a stream is to begin."
