"""Declares the route by which a run is followed: server-sent events."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from loom_api.following import Following
from loom_api.http.answers import STOP, Routes
from loom_api.http.problems import documented
from loom_api.source import Source

_EXAMPLE = 'event: progress\nid: 5f1d0c2b9a7e4d31\ndata: {"run_id": "run_4f1c2a9b7e03", "status": "running"}\n\n'
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until the run has ended.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    },
    204: {"description": "The run has ended, and the client knows: it need not ask again."},
}


def router(source: Source) -> Routes:
    """Return the route."""
    routes = Routes("runs")
    followed = Depends(source.following)

    @routes.get("/runs/{run_id}/events", response_class=Response, responses={**_STREAM, **documented(404)})
    async def follow_run(
        request: Request,
        run_id: str,
        last_event_id: Annotated[
            str | None, Header(max_length=100, description="The id of the last event that the client got.")
        ] = None,
        following: Following = followed,
    ) -> Response:
        """Follow a run by server-sent events: `progress` with its metrics whenever they have changed, at most twice a
        second; `status` where its status has; and `finished` with its report, with which the stream ends. A comment
        every 15 seconds says that the stream is alive."""
        first = await following.news(run_id)
        if first.ended and first.id == last_event_id:
            return Response(status_code=204)
        stop = request.scope.get(STOP) or asyncio.Event()
        return StreamingResponse(
            following.stream(run_id, first, last_event_id, stop),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return routes
