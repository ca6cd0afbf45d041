"""Declares the route by which records are given to a pipeline."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from loom_api.following import Following
from loom_api.http.answers import Json, Routes, TaggedRoute, started
from loom_api.http.idempotency import IdempotencyKey, carry_out_once, key_of, start_key
from loom_api.http.problems import documented, problem
from loom_api.reads import Reads
from loom_api.results.given_records import NothingNew, RecordOutcomeDocument, RecordsTaken, RunWithOutputs
from loom_api.running.known_records import KeysTaken
from loom_api.running.outputs import outputs
from loom_api.running.record_bodies import MEDIA_TYPES, RecordBody, UnknownMediaType, received
from loom_api.running.record_runs import RecordRuns
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.errors import ConfigurationError

_AGAIN_SECONDS = 5
_RECORD = {"id": "r-17", "review": "Arrived broken."}
_SCHEMAS: dict[str, Any] = {
    "application/json": {"schema": {"type": "array", "items": {"type": "object"}}, "example": [_RECORD]},
    "text/csv": {"schema": {"type": "string"}, "example": "id,review\nr-17,Arrived broken.\n"},
}
_LINES = {"schema": {"type": "string"}, "example": '{"id": "r-17", "review": "Arrived broken."}\n'}
_BODY = {"requestBody": {"required": True, "content": {kind: _SCHEMAS.get(kind, _LINES) for kind in MEDIA_TYPES}}}
_ENDED: dict[int | str, dict[str, Any]] = {
    200: {"model": RunWithOutputs | NothingNew, "description": "The run has ended, or there is nothing new."}
}


def router(source: Source, settings: ApiSettings) -> Routes:
    """Return the route."""
    routes = Routes(route_class=TaggedRoute)
    asked, ordered, followed = Depends(source.reads), Depends(source.commands), Depends(source.following)

    @routes.post(
        "/pipelines/{name}/records",
        tags=["pipelines"],
        status_code=202,
        response_model=RecordsTaken,
        responses={**_ENDED, **documented(404, 409, 415)},
        openapi_extra=_BODY,
    )
    async def give_records(
        request: Request,
        name: str,
        wait: Annotated[
            str,
            Query(
                pattern="^([0-9]|[1-5][0-9]|60)s?$",
                description="Wait so many seconds for the end of the run, and answer its report with the outputs of "
                "few records: `30s`, at most `60s`.",
            ),
        ] = "0s",
        param: Annotated[
            list[str] | None, Query(description="`KEY=VALUE`: a parameter of the pipeline. May be repeated.")
        ] = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - `key_of` reads it
        commands: RecordRuns = ordered,
        following: Following = followed,
    ) -> Response:
        """Run a pipeline over the records in the body, in place of its source. The answer comes when they are stored
        durably and the run has begun: none of them is lost then. What is no record is kept in quarantine. A record
        that a run has had within the window that the pipeline names is left out, and named in `duplicates`. 429 says
        that too many runs of the pipeline are under way."""
        if await commands.under_way(name, settings.runs_at_once) >= settings.runs_at_once:
            words = f"As many runs of '{name}' are under way as may be: {settings.runs_at_once:,}."
            return problem(429, words, headers={"Retry-After": str(_AGAIN_SECONDS)})
        params = _params(param or [])

        async def start(body: RecordBody, sent: Request) -> Response:
            begun = await commands.run_over(name, body.records, params, start_key(sent))
            known = begun.duplicates
            if begun.accepted is None:
                return Json(NothingNew(pipeline=name, duplicates=known.first, duplicate_count=known.count))
            run_id, seconds = begun.accepted.run_id, float(wait.removesuffix("s"))
            told = {"duplicates": known.of_run(run_id), "duplicate_count": known.count}
            if seconds and (news := await following.ended(run_id, seconds)) is not None:
                return Json({**news.document, **told, "outputs": await commands.outputs(begun)})
            return started(begun.accepted, also=told)

        try:
            async with received(request.stream(), request.headers.get("content-type", "")) as body:
                if (chosen := key_of(request)) is None:
                    return await start(body, request)
                return await carry_out_once(source.engine, request, chosen, body.hash.encode(), partial(start, body))
        except UnknownMediaType as error:
            return problem(415, str(error))
        except KeysTaken as error:
            return problem(409, str(error), headers={"Retry-After": str(_AGAIN_SECONDS)})

    @routes.get(
        "/runs/{run_id}/outputs",
        response_model=list[RecordOutcomeDocument],
        responses=documented(404),
        tags=["runs"],
    )
    async def list_outputs(run_id: str, reads: Reads = asked) -> Json:
        """List what the records of a run came to, of a run over at most 100 records that were given over HTTP; for a
        day."""
        return Json(await outputs(reads, run_id))

    return routes


def _params(pairs: list[str]) -> dict[str, str]:
    if wrong := [pair for pair in pairs if "=" not in pair or pair.startswith("=")]:
        raise ConfigurationError(f"param: '{wrong[0]}' is not KEY=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)
