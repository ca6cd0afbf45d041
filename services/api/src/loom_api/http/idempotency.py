"""Carries out a request that comes twice with the same `Idempotency-Key` once, and gives both the same answer.

The answer is kept in the state database, so that it does not matter which replica is asked. What is written there of
requests that come at the same time is one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from loom_ai.coalescing import Coalescer
from loom_api.access import viewer_of
from loom_api.http.problems import problem
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.errors import ConfigurationError, PermanentError
from loom_coordinator.db import idempotency
from loom_coordinator.db.idempotency import Answered, Key, Other, Taken, UnderWay
from loom_coordinator.db.unit_of_work import trouble_told

NAME = "Idempotency-Key"
_WRITTEN = re.compile(r"[!-~]{1,255}")
_KEPT_HEADERS = ("content-type", "location")
_AGAIN_SECONDS = 1

Handle = Callable[[Request], Coroutine[Any, Any, Response]]
Settle = Callable[[AsyncConnection], Awaitable[None]]
"""Writes down what became of a request: its answer, or that it may come again."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=NAME,
        pattern=f"^{_WRITTEN.pattern}$",
        description="A text that the client chooses, such as a UUID. A request that comes again with it within 24 "
        "hours is not carried out again: it gets the same answer.",
    ),
]


def start_key(request: Request) -> str | None:
    """Return a key that is the same for a request and those that take its place, and for no other; None where the
    client chose none."""
    found = getattr(request.state, "start_key", None)
    return None if found is None else str(found)


class KeptRequests:
    """Takes requests by their keys, and settles them, in the state database of an engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._take: Coalescer[Key, Taken | Answered | UnderWay | Other] = Coalescer(self._taken)
        self._settle: Coalescer[Settle, None] = Coalescer(self._settled)

    async def take(self, key: Key) -> Taken | Answered | UnderWay | Other:
        """Take a request, as `idempotency.take` does."""
        with trouble_told(self._engine.url):
            return await self._take(key)

    async def settle(self, settle: Settle) -> None:
        """Write down what became of a request."""
        with trouble_told(self._engine.url):
            await self._settle(settle)

    async def _taken(self, keys: Sequence[Key]) -> Sequence[Taken | Answered | UnderWay | Other]:
        async with self._engine.begin() as connection:
            return await idempotency.take_all(connection, keys, dt.datetime.now(dt.UTC))

    async def _settled(self, acts: Sequence[Settle]) -> Sequence[None]:
        async with self._engine.begin() as connection:
            for settle in acts:
                await settle(connection)
        return [None] * len(acts)


def once(requests: KeptRequests) -> type[APIRoute]:
    """Return the class of routes whose answers are kept among these requests."""

    class Once(APIRoute):
        """Carries out a request once."""

        def get_route_handler(self) -> Handle:
            """Return the handler of the route."""
            handle = super().get_route_handler()

            async def handle_once(request: Request) -> Response:
                if (chosen := key_of(request)) is None:
                    return await handle(request)
                return await carry_out_once(requests, request, chosen, await request.body(), handle)

            return handle_once

    return Once


def key_of(request: Request) -> str | None:
    """Return the key that the client chose; None where it chose none, or what cannot be one, which is refused later."""
    chosen = request.headers.get(NAME)
    return chosen if chosen is not None and _WRITTEN.fullmatch(chosen) else None


async def carry_out_once(
    requests: KeptRequests, request: Request, chosen: str, said: bytes, handle: Handle
) -> Response:
    """Carry a request out, unless one came with its key before. `said` tells what is in its body: the body, or a hash
    of it."""
    key = Key(viewer_of(request.scope).user, chosen, _hash(request, said))
    match await requests.take(key):
        case Answered(status, headers, body):
            return Response(body, status, {**headers, "Idempotency-Replayed": "true"})
        case UnderWay():
            words = f"A request with this {NAME} is being carried out. Ask again for its answer."
            return problem(409, words, headers={"Retry-After": str(_AGAIN_SECONDS)})
        case Other():
            return problem(
                422,
                f"This {NAME} came with another request in the last 24 hours. Choose another one for each request.",
            )
        case Taken(first_at):
            request.state.start_key = _name(key, first_at)
            return await _carried_out(requests, key, handle, request)


async def _carried_out(requests: KeptRequests, key: Key, handle: Handle, request: Request) -> Response:
    """Carry the request out, and keep its answer. One that was refused may come again with the same key."""
    settle: Settle = partial(idempotency.give_back, key=key)
    try:
        response = await handle(request)
        if response.status_code < 300:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            answer = Answered(response.status_code, headers, bytes(response.body).decode())
            settle = partial(idempotency.answer, key=key, answer=answer)
        elif response.status_code < 500:
            settle = partial(idempotency.forget, key=key)
    except (ConfigurationError, PermanentError, HTTPException, RequestValidationError):
        settle = partial(idempotency.forget, key=key)
        raise
    finally:
        await requests.settle(settle)
    return response


def _hash(request: Request, said: bytes) -> str:
    hashed = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    hashed.update(said)
    return hashed.hexdigest()


def _name(key: Key, first_at: dt.datetime) -> str:
    return hashlib.sha256(f"{key.client}\n{key.key}\n{first_at.isoformat()}".encode()).hexdigest()[:40]
