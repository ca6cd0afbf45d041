"""Answers HEAD wherever GET is answered: with the same status and headers, and without a body (RFC 9110)."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Wraps an ASGI application that answers GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. What is still to come after the headers, such as a stream, is not waited for."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def headers_alone(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                answered.set()

        answering = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, headers_alone))
        told = asyncio.ensure_future(answered.wait())
        try:
            await asyncio.wait({answering, told}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await answering  # raises what it raised
        finally:
            told.cancel()
            answering.cancel()
            await asyncio.gather(told, answering, return_exceptions=True)
