"""Guards every request: bodies of limited size, names of this machine alone, and headers that tell browsers what not to
do."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loom_api.problems import problem
from loom_api.settings import ApiSettings, is_loopback

_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings

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

        headers = Headers(scope=scope)
        if not self._settings.behind_proxy and not is_loopback(name_in(headers.get("host", ""))):
            answer = problem(421, "This API answers for names of this machine: http://127.0.0.1 or http://localhost.")
            await answer(scope, receive, guarded)
            return
        if b"%00" in scope["raw_path"] + scope["query_string"]:
            answer = problem(400, "The address holds the character NUL, which no name has.")
            await answer(scope, receive, guarded)
            return
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._settings.body_bytes:
            answer = problem(413, f"The body is larger than {self._settings.body_bytes:,} bytes.")
            await answer(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def name_in(host: str) -> str:
    """Return the name in a `Host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
