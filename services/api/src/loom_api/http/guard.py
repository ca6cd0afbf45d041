"""Guards every request: bodies of limited size, names of this machine alone, no commands by pages of other sites, a
limited number of requests of a client, and headers that tell browsers what not to do."""

from __future__ import annotations

import math

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loom_api.http.answers import PREFIX
from loom_api.http.problems import problem
from loom_api.http.rates import Rates
from loom_api.settings import ApiSettings
from loom_common.domain.identity_provider import is_loopback

_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With `no-referrer`, browsers would send `Origin: null` with the forms of the console's own pages.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})
"""Holds what browsers send in `Sec-Fetch-Site` with a request of a page of this origin, and with one of a person."""


class Guard:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, *, controlled: bool) -> None:
        self._app = app
        self._settings = settings
        self._any_name = settings.behind_proxy or controlled
        self._rates = Rates(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, guarded)
        else:
            await self._app(scope, _limited(receive, self._most(scope)), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further; None to one that does."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._any_name and not is_loopback(name_in(host)):
            return problem(421, "This API answers for names of this machine: http://127.0.0.1 or http://localhost.")
        if scope["method"] not in _READING and (refusal := self._foreign(scope, headers, host)) is not None:
            return problem(403, refusal)
        if wait := self._rates.wait_of(client_of(scope, headers, self._settings)):
            most = self._settings.requests_per_minute
            words = f"More than {most:,} requests in a minute came from this client."
            return problem(429, words, headers={"Retry-After": str(math.ceil(wait))})
        if b"%00" in scope["raw_path"] + scope["query_string"]:
            return problem(400, "The address holds the character NUL, which no name has.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most(scope):
            return problem(413, _too_large(self._most(scope)))
        return None

    def _most(self, scope: Scope) -> int:
        """Return how many bytes the body of a request may have."""
        gives_records = scope["method"] == "POST" and scope["path"].endswith("/records")
        return self._settings.records_bytes if gives_records else self._settings.body_bytes

    def _foreign(self, scope: Scope, headers: Headers, host: str) -> str | None:
        """Say why a command is refused that a page of another site would give; None where a page of this API does, one
        that is named, or a program that is no browser. A form of the console comes from a browser, which says so."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        of_console = not scope["path"].startswith(f"{PREFIX}/")
        if origin in self._settings.cors_origins and not of_console:
            return None
        if origin is not None and origin.partition("://")[2] != host:
            return f"A web page of {origin[:200]} may not command Loom. Name it in LOOM_API_CORS_ORIGINS where it may."
        if site is not None and site not in _OWN:
            return "A web page of another site may not command Loom. Name it in LOOM_API_CORS_ORIGINS where it may."
        if of_console and origin is None and site is None:
            return "This address takes forms of the console, as browsers send them. Programs ask below /api/v1."
        return None


def client_of(scope: Scope, headers: Headers, settings: ApiSettings) -> str:
    """Name the client of a request: its address, as the proxy before the API tells it where there is one."""
    told = ",".join(headers.getlist("x-forwarded-for")) if settings.behind_proxy else ""
    client = scope.get("client")
    return told.rpartition(",")[2].strip() or (str(client[0]) if client else "")


def _limited(receive: Receive, most: int) -> Receive:
    """Refuse a body that turns out to be larger than `most` bytes."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _too_large(most))
        return message

    return limited


def _too_large(most: int) -> str:
    return f"The body is larger than {most:,} bytes."


def name_in(host: str) -> str:
    """Return the name in a `Host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
