"""Asks a model server, which several workers may share, to score texts: `{"texts": [...]}` is sent by POST, and
`{"outputs": [{...}, ...]}` comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson

from loom_common.config.credentials import Credentials
from loom_common.domain.values.urls import redacted
from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    RateLimited,
    RecordError,
    UpstreamTroubled,
)
from loom_common.http.bodies import ACCEPTED, read_body
from loom_common.http.connection_errors import cause_of
from loom_common.http.sessions import open_session
from loom_common.text import bounded
from loom_common.user_code.poison_isolation import MODEL_CALLS
from loom_transformer.scoring.answers import late, one_for_each

_CALLS = 8
"""The most calls that one worker has under way at a server."""
_MOST_BYTES = 64 * 1024 * 1024
_TRANSIENT = frozenset({408, 409, 425})
_SHOWN = 300


class ModelServer:
    """Speaks to one server."""

    def __init__(self, url: str, api_key: str | None, credentials: Credentials) -> None:
        self._url = url
        self._api_key = api_key
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._turns = asyncio.Semaphore(_CALLS)

    async def scored(self, texts: list[str], seconds: float) -> Sequence[Any] | RecordError:
        """Return an output for each text, or why the server gives none for any of them.

        Raises `TransientError` where it is away, and `PermanentError` where it serves no texts."""
        place = f"The model server {redacted(self._url)}"
        async with self._turns:
            try:
                async with asyncio.timeout(seconds):
                    status, data, fault = await self._posted(texts)
            except TimeoutError:
                return late(place, seconds)
            except (aiohttp.ClientError, OSError) as error:
                raise DependencyUnavailable(
                    f"{place} cannot be reached ({cause_of(error, self._url)}). See that it runs."
                ) from error
        if status != 200:
            refused = _refusal(status, data, place)
            if isinstance(refused, RecordError):
                return refused
            raise refused
        try:
            outputs = orjson.loads(data)["outputs"] if fault is None else None
        except (ValueError, KeyError, TypeError):
            outputs = None
        if not isinstance(outputs, list):
            words = fault or "its answer has no list `outputs`"
            return RecordError(f"{place}: {words}", code="transform_error")
        return one_for_each(outputs, texts, place)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _posted(self, texts: list[str]) -> tuple[int, bytes, str | None]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": ACCEPTED}
        if self._api_key is not None:
            key = await asyncio.to_thread(self._credentials.expand, self._api_key)
            headers["Authorization"] = f"Bearer {key}"
        if self._session is None:
            self._session = open_session()
        data = orjson.dumps({"texts": texts})
        async with self._session.post(self._url, data=data, headers=headers, allow_redirects=False) as response:
            body = await read_body(response, _MOST_BYTES)
            return response.status, body.data, body.fault


class AtServer:
    """Calls a server, each call of at most `seconds`."""

    risk = MODEL_CALLS
    at_once = True

    def __init__(self, server: ModelServer, seconds: float) -> None:
        self._server = server
        self._seconds = seconds

    async def scored(self, texts: list[str]) -> Sequence[Any] | RecordError:
        return await self._server.scored(texts, self._seconds)


def _refusal(status: int, data: bytes, place: str) -> LoomError:
    """Return what a status other than 200 means."""
    if status in (401, 403):  # its words are left out, because some servers repeat the key
        return AccessRefused(f"{place} refused access (HTTP {status}). Set `transform.api_key` to a key that it takes.")
    said = f"HTTP {status}: {bounded(data.decode('utf-8', 'replace').strip(), _SHOWN)}".rstrip(": ")
    if status == 429:
        return RateLimited(f"{place} asks to slow down ({said}).")
    if status in _TRANSIENT or status >= 500:
        return UpstreamTroubled(f"{place} is in trouble ({said}).")
    if status in (404, 405) or status < 400:
        return PermanentError(f"{place} scores no texts there ({said}). Check the address in `transform.scorer`.")
    return RecordError(f"{place} refused the texts ({said})", code="transform_error")
