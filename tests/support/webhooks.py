"""Runs a server that takes JSON, as a receiver of alerts does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from loom_dev.backends.ports import reserve_port


@asynccontextmanager
async def webhook(status: int = 200) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Provide a server that answers with this status: its address, and what it was sent."""
    sent: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        sent.append(await request.json())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/secret/path", take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = reserve_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/secret/path", sent
    finally:
        await runner.cleanup()
