"""Runs an API on this machine whose requests wait until there is something new, in each way in which cursors travel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from support.rest_server import Fault

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "body": (
        "/body",
        {"records": "events", "pagination": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}},
    ),
    "link": ("/link", {"pagination": "link"}),
    "header": (
        "/header",
        {"pagination": {"type": "cursor", "cursor_header": "X-Index", "cursor_param": "after"}},
    ),
    "etag": (
        "/etag",
        {
            "pagination": {
                "type": "cursor",
                "cursor_header": "ETag",
                "cursor_param": "If-None-Match",
                "location": "header",
            }
        },
    ),
}
"""Holds a path of the server for each way in which a cursor travels, and the options that read it."""


@dataclass
class Feed:
    """Holds events, of which a request is given those behind its cursor; it waits for the first of them."""

    events: list[Any] = field(default_factory=list)
    most: int = 1000
    """The most events of one answer."""
    again: int = 0
    """The number of events before the cursor that an answer has once more."""
    faults: list[Fault] = field(default_factory=list)
    """Holds what the next requests get."""
    silent: bool = False
    """Tells whether the server answers nothing at the end of the wait, and later."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Holds the path with its query, and the headers, of each request."""
    waiting: int = 0
    url: str = ""

    @property
    def location(self) -> str:
        return f"rest+{self.url}"

    def add(self, *numbers: int) -> None:
        """Let events happen."""
        self.events += [{"id": f"t{number:05}"} for number in numbers]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, dict(request.headers)))
        if self.faults:
            fault = self.faults.pop(0)
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        after = int(request.query.get("after") or request.headers.get("If-None-Match", "0").strip('"'))
        seconds = float(request.query.get("timeout", "30"))
        self.waiting += 1
        try:
            for _ in range(round(seconds / 0.005)):
                if len(self.events) > after or self.faults:
                    break
                await asyncio.sleep(0.005)
            while self.silent:
                await asyncio.sleep(0.005)
        finally:
            self.waiting -= 1
        return self._answer(request.path.strip("/"), after)

    def _answer(self, way: str, after: int) -> web.Response:
        found = self.events[max(0, after - self.again) : after + self.most]
        end = min(after + self.most, len(self.events))
        if end == after:
            return web.Response(status=304 if way == "etag" else 204)
        match way:
            case "body":
                return web.json_response({"events": found, "next": end})
            case "link":
                return web.json_response(found, headers={"Link": f'</link?after={end}>; rel="next"'})
            case "header":
                return web.json_response(found, headers={"X-Index": str(end)})
            case "etag":
                return web.json_response(found, headers={"ETag": f'"{end}"'})
        return web.json_response(found)
