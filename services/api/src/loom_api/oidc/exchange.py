"""Asks an OpenID provider over HTTP, and limits what it may answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from loom_common.errors import DependencyUnavailable
from loom_common.http.bodies import ACCEPTED, read_body
from loom_common.http.connection_errors import cause_of
from loom_common.http.sessions import open_session

_SECONDS = 10.0
_MOST_BYTES = 1 << 20
_HEADERS = {"Accept": "application/json", "Accept-Encoding": ACCEPTED}


async def ask(
    url: str, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Get a document, or send a form, and return the status and the JSON object of the answer; an empty object where it
    holds none. Redirects are not followed, so that a secret goes nowhere else.

    Raises `DependencyUnavailable` where the provider is away, or answers with a status from 500."""
    limit = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            open_session() as session,
            session.request(
                "GET" if form is None else "POST",
                url,
                headers={**_HEADERS, **(headers or {})},
                data=form,
                allow_redirects=False,
                timeout=limit,
            ) as response,
        ):
            body = await read_body(response, _MOST_BYTES)
            status = response.status
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise DependencyUnavailable(f"The OpenID provider cannot be asked: {cause_of(error, url)}.") from error
    if status >= 500:
        raise DependencyUnavailable(f"The OpenID provider cannot answer now: it said {status}.")
    try:
        said = orjson.loads(body.data) if body.fault is None else None
    except orjson.JSONDecodeError:
        said = None
    return status, said if isinstance(said, dict) else {}
