"""Answers errors as problem details (RFC 9457), in the words of the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from loom_api.results.problems import Mistake, Problem
from loom_common import errors as told
from loom_common.errors import (
    ConfigurationError,
    InvalidDefinition,
    LoomError,
    NotFound,
    PermanentError,
    StateUnusable,
    TransientError,
)
from loom_common.logs.logger import log

MEDIA_TYPE = "application/problem+json"
_RETRY_SECONDS = 5.0
"""Says when to ask again where a dependency is away and does not say when."""


def problem(
    status: int,
    detail: str,
    errors: Sequence[Mistake] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error's answer."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [each.model_dump() for each in errors],
    }
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def placed(mistake: told.Problem) -> Mistake:
    """Return a mistake of a definition with its place."""
    return Mistake(
        message=str(mistake),
        file=mistake.file,
        line=mistake.line,
        column=mistake.column,
        key=mistake.key,
        found=mistake.found,
        expected=mistake.expected,
        suggestion=mistake.suggestion,
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how answers of these statuses are described in the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def schemas() -> dict[str, Any]:
    """Return the schema of an error's answer for the OpenAPI document, and those that it refers to."""
    _, found = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    named: dict[str, Any] = found["$defs"]
    return named


def install(app: FastAPI) -> None:
    """Let the application answer errors so."""
    app.add_exception_handler(LoomError, _loom_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)


async def _loom_error(_request: Request, error: Exception) -> Response:
    return answered(error)


def answered(error: Exception) -> Response:
    """Return the answer to an error of Loom."""
    match error:
        case NotFound():
            return problem(404, str(error))
        case InvalidDefinition():
            return problem(422, str(error), [placed(each) for each in error.problems])
        case ConfigurationError():
            return problem(400, str(error))
        case TransientError():
            seconds = math.ceil(error.retry_after or _RETRY_SECONDS)
            return problem(503, str(error), headers={"Retry-After": str(seconds)})
        case PermanentError() if not isinstance(error, StateUnusable):
            return problem(422, str(error))
    log.error("request failed", error=str(error))
    return problem(500, str(error))


async def _invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes = [
        Mistake(message=each["msg"].removeprefix("Value error, "), key=".".join(map(str, each["loc"][1:])))
        for each in error.errors()
    ]
    said = "; ".join(": ".join(filter(None, (each.key, each.message))) for each in mistakes)
    return problem(422, f"The request cannot be read: {said}.", mistakes)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem(404, f"There is nothing at {request.url.path}. /api/v1/openapi.json lists what there is.")
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, f"Unexpected {type(error).__name__}. The log of the API says where.")
