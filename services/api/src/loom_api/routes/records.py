"""Declares the route by which records are given to a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from loom_api.following import Following
from loom_api.http.answers import Json, Routes, TaggedRoute, started
from loom_api.http.idempotency import IdempotencyKey, carry_out_once, key_of, start_key
from loom_api.http.problems import documented, problem
from loom_api.reads import Reads
from loom_api.results.given_records import (
    NothingNew,
    RecordOutcomeDocument,
    RecordsKept,
    RecordsTaken,
    RunWithOutputs,
)
from loom_api.results.problems import Mistake
from loom_api.running.inboxes import TooManyRecords, UnfitRecords
from loom_api.running.known_records import SHOWN, KeysTaken
from loom_api.running.outputs import outputs
from loom_api.running.record_bodies import MEDIA_TYPES, RecordBody, UnknownMediaType, received
from loom_api.running.record_runs import RecordRuns
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.errors import ConfigurationError
from loom_common.ports.inbox import InboxFull
from loom_coordinator.db import streams

Answer = Coroutine[Any, Any, Response]

_AGAIN_SECONDS = 5
_FULL_SECONDS = 1
"""Says when a request may be sent again that found as many records waiting as may."""
_STREAM_BYTES = 64 << 20
"""The largest body of a request that gives records to a stream."""
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
        response_model=RecordsTaken | RecordsKept,
        responses={**_ENDED, **documented(404, 409, 413, 415, 422, 429)},
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
        that too many runs of the pipeline are under way.

        A pipeline whose stream reads `api://...` is given the records in place of a run. All of them are stored durably
        when the answer comes, and none where one is no record. 429 says then that as many wait to be taken as may."""
        if (pipeline := await commands.stream(name)) is not None:
            if wait not in ("0", "0s") or param:
                raise ConfigurationError("wait, param: records of a stream are not waited for, and have no parameters.")
            return await _give_to_stream(source, request, commands, pipeline)
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

        return await _with_body(source, request, start)

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


async def _with_body(source: Source, request: Request, handle: Callable[[RecordBody, Request], Answer]) -> Response:
    """Receive the body of a request, and carry out what is done with it; once, where the client has chosen a key."""
    try:
        async with received(request.stream(), request.headers.get("content-type", "")) as body:
            if (chosen := key_of(request)) is None:
                return await handle(body, request)
            return await carry_out_once(source.requests, request, chosen, body.hash.encode(), partial(handle, body))
    except UnknownMediaType as error:
        return problem(415, str(error))
    except KeysTaken as error:
        return problem(409, str(error), headers={"Retry-After": str(_AGAIN_SECONDS)})


async def _give_to_stream(source: Source, request: Request, commands: RecordRuns, pipeline: Pipeline) -> Response:
    """Keep the records of a request for the stream of a pipeline."""

    async def keep(body: RecordBody, sent: Request) -> Response:
        if body.size > _STREAM_BYTES:
            raise TooManyRecords(
                f"A request may give a stream {_STREAM_BYTES:,} bytes at most: give the records in several."
            )
        kept = await commands.inboxes.keep(pipeline, body.records(), start_key(sent))
        document = RecordsKept(
            pipeline=pipeline.name,
            stream=streams.id_of(pipeline),
            ids=list(kept.ids),
            duplicates=list(kept.duplicates[:SHOWN]),
            duplicate_count=len(kept.duplicates),
        )
        return Json(document, 202)

    try:
        return await _with_body(source, request, keep)
    except TooManyRecords as error:
        return problem(413, str(error))
    except UnfitRecords as error:
        return problem(422, str(error), [Mistake(message=each) for each in error.reasons])
    except InboxFull as error:
        return problem(429, str(error), headers={"Retry-After": str(_FULL_SECONDS)})


def _params(pairs: list[str]) -> dict[str, str]:
    if wrong := [pair for pair in pairs if "=" not in pair or pair.startswith("=")]:
        raise ConfigurationError(f"param: '{wrong[0]}' is not KEY=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)
