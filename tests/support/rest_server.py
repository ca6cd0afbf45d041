"""Runs a REST API on this machine, in a thread: every way to divide records into pages, authentication, and faults."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import patience

TOKEN = "a-planted-token-0815"
CLIENT = ("the-client", "a-planted-client-secret")


@dataclass(frozen=True)
class Fault:
    """Says what a request gets in place of its answer."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    """Close the connection in the middle of the answer."""
    after: bool = False
    """Do what was asked first."""


class Api:
    """Holds the records that the server gives, and those that it was sent."""

    def __init__(self, records: list[Any] | None = None, size: int = 5) -> None:
        self.records = records or []
        self.size = size
        """The number of records on a page where the request does not say it."""
        self.raw: bytes | None = None
        """Sent as the answer to each request for records, if it is set."""
        self.auth: str | None = None
        """Names what a request must have: `bearer`, `basic`, `header`, `query` or `token`."""
        self.lifetime = 3600.0
        self.given = 0
        """The number of tokens that were given."""
        self.is_valid: Callable[[int], bool] = lambda number: True
        self.faults: list[Fault] = []
        """Holds what the next requests get."""
        self.refuse: Callable[[dict[str, Any]], str | None] = lambda row: None
        """Returns why a record is refused."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Holds method, path with query, and headers of each request."""
        self.keys: Counter[str] = Counter()
        """Counts requests by their idempotency key."""
        self.done: dict[str, tuple[int, Any]] = {}
        """Holds the answer to each key."""
        self.rows: list[dict[str, Any]] = []
        """Holds the records that were sent, each once by its key."""
        self.resources: dict[str, dict[str, Any]] = {}
        self.found: dict[str, tuple[int, Any]] = {}
        """Holds the status and the answer to a lookup by what the path `/find/...` or the query `key` asks for."""
        self.slow_after: int | None = None
        """Says how many requests are answered at once; None: all."""
        self.slow = False
        """Tells whether no request is answered."""
        self.most_at_once = self.now = 0
        self._changed = threading.Condition()
        self.url = ""

    def reached(self, number: int, seconds: float = 60) -> None:
        """Wait until so many requests came."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= number, seconds)

    @property
    def location(self) -> str:
        return f"rest+{self.url}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        with self._changed:
            self.asked.append((request.method, request.path_qs, dict(request.headers)))
            self._changed.notify_all()
        try:
            number = len(self.asked)
            while self.slow or (self.slow_after is not None and number > self.slow_after):
                await asyncio.sleep(0.01)
            return await self._answer(request)
        finally:
            self.now -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.faults:
            fault = self.faults.pop(0)
            if fault.after:
                await self._usual(request)
            if fault.cut:
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b'{"items": [')
                request.transport.close()
                return response
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        return await self._usual(request)

    async def _usual(self, request: web.Request) -> web.Response:
        name = request.path.strip("/").partition("/")[0]
        if name == "token":
            return await self._token(request)
        if not self._allowed(request):
            return web.json_response({"error": {"message": f"{request.headers} {request.query_string}"}}, status=401)
        if request.method == "OPTIONS":
            return web.Response(status=204)
        if name == "find":
            key = request.query.get("key") or request.path.rpartition("/find/")[2]
            status, answer = self.found.get(key, (404, {"message": f"no {key}"}))
            return web.json_response(answer, status=status)
        if name in ("sink", "bulk", "users"):
            return await self._taken(request, name)
        if self.raw is not None:
            return web.Response(body=self.raw, content_type="application/json")
        return await self._page(request, name)

    def _allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        match self.auth:
            case "bearer":
                return given == f"Bearer {TOKEN}"
            case "basic":
                return given == "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
            case "header":
                return request.headers.get("X-Key") == TOKEN
            case "query":
                return request.query.get("key") == TOKEN
            case "token":
                number = given.removeprefix("Bearer token-")
                return number.isdigit() and self.is_valid(int(number))
        return True

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        wanted = "Basic " + base64.b64encode(":".join(CLIENT).encode()).decode()
        in_body = (form.get("client_id"), form.get("client_secret")) == CLIENT
        if form.get("grant_type") != "client_credentials" or not (
            request.headers.get("Authorization") == wanted or in_body
        ):
            return web.json_response({"error": "invalid_client"}, status=401)
        self.given += 1
        return web.json_response({"access_token": f"token-{self.given}", "expires_in": self.lifetime})

    async def _page(self, request: web.Request, name: str) -> web.Response:
        body = await request.json() if request.method == "POST" else {}
        asked = {**request.query, **body.get("paging", body)}
        size = int(asked.get("limit", self.size))
        start = {
            "page": (int(asked.get("page", 1)) - 1) * size,
            "offset": int(asked.get("offset", 0)),
        }.get(name, int(asked.get("cursor", 0)))
        records = [each for each in self.records if str(each.get("at", "9")) >= asked.get("since", "")]
        piece, end = records[start : start + size], start + size
        more = end < len(records)
        further = f"/{name}?cursor={end}&key={TOKEN}&limit={size}"
        meta = {"next": str(end) if more else None, "total": len(records), "has_more": more}
        if name == "link":
            headers = {"Link": f'</first>; rel="first", <{further}>; rel="prefetch next"'} if more else {}
            return web.json_response(piece, headers=headers)
        return web.json_response({"data": {"items": piece}, "meta": meta, "next_url": further if more else None})

    async def _taken(self, request: web.Request, name: str) -> web.Response:
        body = await request.json()  # nothing else happens between here and the answer
        key = request.headers.get("Idempotency-Key", "")
        self.keys[key] += 1
        if key in self.done:
            status, answer = self.done[key]
            return web.json_response(answer, status=status)
        if name == "users":
            self.resources[request.path.rpartition("/")[2]] = body
            return web.json_response({}, status=200)
        rows = body if isinstance(body, list) else body.get("items", [body])
        reasons = [self.refuse(row) for row in rows]
        if name == "bulk":
            self.rows += [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
            results = [{"status": 422 if reason else 201, "error": {"message": reason}} for reason in reasons]
            answer, status = {"results": results}, 207
        elif any(reasons):
            return web.json_response({"error": {"message": next(filter(None, reasons))}}, status=422)
        else:
            self.rows += rows
            answer, status = {}, 201
        if key:
            self.done[key] = status, answer
        return web.json_response(answer, status=status)


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    """Serve an API in a thread, until the block ends."""
    loop = asyncio.new_event_loop()
    port = reserve_port()
    api.url = f"http://127.0.0.1:{port}"

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", api.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    async def end(runner: web.AppRunner) -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # requests that were still waiting
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(patience(10))
    try:
        yield api
    finally:
        asyncio.run_coroutine_threadsafe(end(runner), loop).result(patience(10))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(patience(10))
        loop.close()


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "link": ("/link", {"pagination": "link"}),
    "next-url": ("/body", {"records": "data.items", "pagination": {"type": "link", "next_url_path": "next_url"}}),
    "cursor": ("/cursor", {"records": "data.items", "pagination": {"type": "cursor", "cursor_path": "meta.next"}}),
    "page": ("/page", {"records": "$.data.items[*]", "pagination": "page"}),
    "page-total": ("/page", {"records": "data.items", "pagination": {"type": "page", "total_path": "meta.total"}}),
    "offset": ("/offset", {"records": "/data/items", "pagination": {"type": "offset", "limit": 4}}),
    "offset-more": (
        "/offset",
        {"records": "data.items", "pagination": {"type": "offset", "limit": 4, "has_more_path": "meta.has_more"}},
    ),
    "posted-cursor": (
        "/search",
        {
            "method": "POST",
            "body": {"query": "all", "paging": {"limit": 6}},
            "records": "data.items",
            "pagination": {
                "type": "cursor",
                "cursor_path": "meta.next",
                "cursor_param": "paging.cursor",
                "location": "body",
            },
        },
    ),
}
"""Holds a path of the server for each way to divide records into pages, and the options that read it."""


def answer_of(rows: list[Any]) -> bytes:
    """Return a body with rows."""
    return json.dumps({"data": {"items": rows}, "meta": {}}).encode()
