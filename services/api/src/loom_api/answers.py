"""Writes results as JSON, with an ETag by which a client asks whether they have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from loom_common.domain.json_values.shown import as_json


class Json(JSONResponse):
    """Holds a result as JSON, as `--format json` of the command line writes it."""

    def render(self, content: object) -> bytes:
        """Return the body."""
        return orjson.dumps(as_json(content), option=orjson.OPT_NON_STR_KEYS)


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
                return Response(status_code=304, headers={"ETag": tag})
            response.headers["ETag"] = tag
            return response

        return tagged


def has(if_none_match: str | None, tag: str) -> bool:
    """Tell whether the header `If-None-Match` names a tag, compared weakly as RFC 9110 says."""
    if if_none_match is None:
        return False
    named = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in named or tag in named
