"""Writes results as JSON, with an ETag by which a client asks whether they have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from loom_api.http.problems import documented
from loom_api.results.commands import RunStarted, RunStatus
from loom_common.contracts.v1 import RunAccepted
from loom_common.domain.json_values.shown import as_json

PREFIX = "/api/v1"
"""Stands before all routes."""
Documented: TypeAlias = dict[int | str, dict[str, Any]]
"""Says by their status which other answers a route has."""
_OF_BODY = ("content-length", "content-type")
STOP = "loom.stop"
"""The key of an ASGI scope that holds the event which is set when the server stops."""


class Json(JSONResponse):
    """Holds a result as JSON, as `--format json` of the command line writes it."""

    def render(self, content: object) -> bytes:
        """Return the body."""
        plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else as_json(content)
        return orjson.dumps(plain, option=orjson.OPT_NON_STR_KEYS)


def started(accepted: RunAccepted, notes: Sequence[str] = (), also: Mapping[str, Any] | None = None) -> Json:
    """Return the answer to a request that has started a run, which `Location` names. `also` is told beside it."""
    said = RunStarted(run_id=accepted.run_id, pipeline=accepted.pipeline, status=accepted.status, notes=list(notes))
    return Json({**said.model_dump(), **(also or {})}, 202, {"Location": f"{PREFIX}/runs/{accepted.run_id}"})


def commanded(accepted: RunAccepted, status_code: int = 200) -> Json:
    """Return the answer to a command that is carried out, or, with 202, will be."""
    return Json(RunStatus(run_id=accepted.run_id, pipeline=accepted.pipeline, status=accepted.status), status_code)


class TaggedRoute(APIRoute):
    """Answers 304 to a client that already has the result, which it names in `If-None-Match`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def tagged(request: Request) -> Response:
            response = await handle(request)
            if request.method != "GET" or response.status_code != 200:
                return response
            tag = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
            if has(request.headers.get("if-none-match"), tag):
                same = {name: value for name, value in response.headers.items() if name not in _OF_BODY}
                return Response(status_code=304, headers=same | {"ETag": tag})
            response.headers["ETag"] = tag
            return response

        return tagged


class Routes(APIRouter):
    """Holds routes of the API: their paths begin with `PREFIX`, and they answer as all of them do.

    They are put into the application by `extend`. FastAPI's `include_router` would build each of them a second time,
    which takes half of what starting the application takes."""

    def __init__(self, *tags: str, below: str = "", responses: Documented | None = None, **options: Any) -> None:
        """Take the `tags` of its routes, and the path `below` which they all are."""
        also = {**documented(400, 413, 422, 429, 503), **(responses or {})}
        super().__init__(
            prefix=f"{PREFIX}{below}", tags=list(tags), default_response_class=Json, responses=also, **options
        )

    def extend(self, others: APIRouter) -> None:
        """Take the routes of another router as they are."""
        self.routes.extend(others.routes)


def has(if_none_match: str | None, tag: str) -> bool:
    """Tell whether the header `If-None-Match` names a tag, compared weakly as RFC 9110 says."""
    if if_none_match is None:
        return False
    named = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in named or tag in named
