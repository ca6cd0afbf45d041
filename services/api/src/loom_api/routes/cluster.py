"""Declares the routes of a cluster: its services, its queues, and messages that no one could read."""

from __future__ import annotations

from fastapi import Depends

from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.http.idempotency import IdempotencyKey, once
from loom_api.http.paging import Limit
from loom_api.http.problems import documented
from loom_api.reads import Reads
from loom_api.results.commands import Replayed
from loom_api.results.dead_letters import LetterDocument
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_coordinator.queries.cluster import Overview
from loom_coordinator.queries.dead_letters import DeadLetterLine
from loom_coordinator.queries.prefetch import PrefetchLimit


def router(source: Source) -> Routes:
    """Return the routes. Embedded, there is no cluster, and they answer 404."""
    routes = Routes("cluster", route_class=TaggedRoute, responses=documented(404))
    starting = Routes("cluster", route_class=once(source.requests), responses=documented(404, 409))
    asked, ordered = Depends(source.reads), Depends(source.commands)

    @routes.get("/fleet", response_model=Overview)
    async def show_fleet(reads: Reads = asked) -> Json:
        """Show services, replicas, queues, rates and breakers, and the batch that waits longest."""
        return Json(await reads.fleet())

    @routes.get("/prefetch", response_model=list[PrefetchLimit])
    async def list_prefetch_limits(reads: Reads = asked) -> Json:
        """List how many messages of each queue one replica may have in flight, and why."""
        return Json(await reads.prefetch_limits())

    @routes.get("/dead-letters", response_model=list[DeadLetterLine])
    async def list_dead_letters(limit: Limit = 50, reads: Reads = asked) -> Json:
        """List messages that no one could read or handle, the oldest first. They stay where they are."""
        return Json(await reads.dead_letters(limit))

    @routes.get("/dead-letters/{letter_id}", response_model=LetterDocument)
    async def show_dead_letter(letter_id: str, reads: Reads = asked) -> Json:
        """Show a dead letter whole: where it was going, why it is here, its headers and its body."""
        return Json(await reads.dead_letter(letter_id))

    @starting.post("/dead-letters/{letter_id}/replay", response_model=Replayed)
    async def replay_dead_letter(
        letter_id: str,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        commands: Commands = ordered,
    ) -> Json:
        """Send a dead letter where it was going, as if for the first time. It is removed here once the broker has
        confirmed it there."""
        return Json(Replayed(replayed=await commands.replay_dead_letter(letter_id)))

    routes.extend(starting)
    return routes
