"""Sends the requests of batch APIs over HTTP, with the credentials that a batch's calls have at that moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

import aiohttp
import orjson

from loom_ai.http.http_errors import EndpointReference, refusal, unreachable_error
from loom_ai.ports import ModelCall
from loom_ai.providers.access import Access, key_reference, references_of, resolve
from loom_ai.wire.document import NoAnswer, parsed
from loom_ai.wire.wires import wire_of
from loom_common.config.credentials import Credentials
from loom_common.errors import DependencyUnavailable, LoomError, PermanentError, Timeout
from loom_common.http.bodies import read_body
from loom_common.http.retry import retry_after_of
from loom_common.http.sessions import open_session
from loom_common.ports.clock import Clock

MOST_BYTES = 512 * 1024 * 1024
"""The longest document with results inside that is read, in bytes. Providers limit them far below."""
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0


class NotSent(DependencyUnavailable):
    """Reports a request that was not sent, because no connection could be made."""


@dataclass(eq=False)
class BatchRefused(Exception):
    """Is raised where a provider answers with an HTTP status that is no success. It does not leave this package."""

    status: int
    error: LoomError
    """Says what it means, for people."""
    retry_after: float | None = None

    def __str__(self) -> str:
        return str(self.error)


class BatchClient:
    """Sends requests to the endpoint of one call. The session is shared."""

    def __init__(
        self, sessions: Sessions, credentials: Credentials, clock: Clock, call: ModelCall, seconds: float
    ) -> None:
        """Take `seconds`, which one request may take."""
        self._sessions = sessions
        self._credentials = credentials
        self._clock = clock
        self.call = call
        self._seconds = seconds

    async def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the document that the provider answers with. `data` is sent as it is in place of `body`."""
        given = {"Content-Type": "application/json"} if data is None else {}
        sent = (None if body is None else orjson.dumps(body)) if data is None else data
        async with self._sent(method, path, sent, {**given, **(headers or {})}) as (response, _):
            found = await read_body(response, MOST_BYTES)
        try:
            document = parsed(found.data)
        except NoAnswer as error:
            raise DependencyUnavailable(f"{self._endpoint} sent what is no JSON about a batch ({error}).") from error
        if found.fault is not None or not isinstance(document, dict):
            raise DependencyUnavailable(
                f"{self._endpoint} sent what cannot be used about a batch ({found.fault or 'it is no object'})."
            )
        return document

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the pieces of a response that may be long."""
        async with self._sent("GET", path, None, {"Accept-Encoding": "identity"}) as (response, _):
            yield response.content.iter_any()

    @property
    def _endpoint(self) -> EndpointReference:
        return EndpointReference(self.call.base_url, self.call.model, key_reference(self.call))

    @asynccontextmanager
    async def _sent(
        self, method: str, path: str, data: Any, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Access]]:
        await self._credentials.fetch(*references_of(self.call))
        access = resolve(self.call, self._credentials)
        wire = wire_of(self.call.provider)
        url = path if path.startswith(("http://", "https://")) else f"{access.base_url}{path}"
        secret = access.key if _same_host(url, access.base_url) else None  # results may lie elsewhere
        try:
            async with self._sessions.session.request(
                method,
                url,
                data=data,
                headers={**headers, **wire.headers(secret), **(access.headers if secret == access.key else {})},
                timeout=aiohttp.ClientTimeout(
                    total=self._seconds, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS
                ),
                allow_redirects=False,
            ) as response:
                if not 200 <= response.status < 300:
                    await self._refuse(response, access)
                yield response, access
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise PermanentError(f"{self._endpoint}: `base_url` is no http(s) address.") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(str(unreachable_error(self._endpoint, error, access.base_url))) from error
        except TimeoutError as error:
            raise Timeout(f"{self._endpoint} did not answer a request about a batch in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise DependencyUnavailable(
                f"{self._endpoint} broke off a response about a batch ({type(error).__name__})."
            ) from error

    async def _refuse(self, response: aiohttp.ClientResponse, access: Access) -> None:
        body = (await read_body(response)).data
        for secret in access.secrets:
            body = body.replace(secret.encode(), b"***")
        wait = retry_after_of(response.headers, self._clock.now())
        if response.status in (401, 403):
            await self._credentials.fetch_anew(*references_of(self.call))
        raise BatchRefused(response.status, refusal(response.status, body, self._endpoint, wait), wait)


class Sessions:
    """Opens one session at the first request, and closes it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the session for all requests of this process, which is opened at the first one."""
        if self._session is None:
            self._session = open_session()
        return self._session

    async def close(self) -> None:
        """Close the session, where one was opened."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def form(filename: str, data: IO[bytes]) -> aiohttp.FormData:
    """Return the upload of a file for a batch."""
    fields = aiohttp.FormData()
    fields.add_field("purpose", "batch")
    fields.add_field("file", data, filename=filename, content_type="application/jsonl")
    return fields


def _same_host(url: str, base_url: str) -> bool:
    return url.split("/", 3)[:3] == base_url.split("/", 3)[:3]
