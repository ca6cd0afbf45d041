"""Runs an endpoint that sends whatever a test says, and speaks every protocol by doing so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

from loom_dev.backends.ports import reserve_port

PATHS = {"openai": "/v1", "anthropic": "", "google": "/v1beta", "cohere": "", "bedrock": ""}
"""Says what comes after the address of the server in a provider's `base_url`."""


@dataclass(frozen=True)
class Sent:
    """Holds what the server answers a request with."""

    body: bytes | Any = b""
    """Bytes as they are; anything else as JSON."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


class AnyServer:
    """Answers each request with what `respond` makes of its body."""

    def __init__(self, respond: Callable[[dict[str, Any]], Sent] | None = None) -> None:
        self.respond = respond or (lambda _: Sent())
        self.calls = 0
        self.asked: Counter[str] = Counter()
        """Counts questions by what `respond` was given, as text."""
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        """Headers and body of each request."""
        self.url = ""

    def base_url(self, provider: str = "openai") -> str:
        return self.url + PATHS[provider]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        port = reserve_port()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.calls += 1
        self.asked[orjson.dumps(body).decode()] += 1
        self.requests.append((dict(request.headers), body))
        sent = self.respond(body)
        return web.Response(body=sent.data, status=sent.status, headers=sent.headers)


def chat(content: Any = "fine", **fields: Any) -> dict[str, Any]:
    """Write a chat completion; `message`, `choice` and the others by name."""
    message = fields.pop("message", {"role": "assistant", "content": content})
    choice = fields.pop(
        "choice", {"index": 0, "message": message, "finish_reason": fields.pop("finish_reason", "stop")}
    )
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage, **fields}
