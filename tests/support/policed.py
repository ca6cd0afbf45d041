"""Asks the API and the console, in this process, as users whom policies let do this and that."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from loom_common.async_engine import AsyncEngine
from loom_coordinator.db.sign_in import tokens
from loom_dev.waiting import within
from support.api import application

OWN = {"Origin": "https://loom.example"}
POLICIES = [
    {"user_pattern": "reader", "resource_pattern": "(runs|quarantine|costs)/p", "actions": ["read"], "allow": True},
    {"user_pattern": "reader", "resource_pattern": "(alerts|pipelines)/p", "actions": ["read"], "allow": True},
    {"user_pattern": "other", "resource_pattern": ".*/q", "actions": ["*"], "allow": True},
    {"user_pattern": "root", "resource_pattern": ".*", "actions": ["*"], "allow": True},
]  # fmt: skip


async def token(
    engine: AsyncEngine, user: str, scopes: Sequence[str] = ("*",), days: float = 1.0, name: str | None = None
) -> str:
    """Make a token of a user, and return its secret."""
    now = dt.datetime.now(dt.UTC)
    async with engine.begin() as connection:
        return await tokens.create(connection, name or user, user, scopes, "tests", now, days)


@asynccontextmanager
async def asking(
    engine: AsyncEngine, secret: str | None = None, policies: Sequence[Any] = POLICIES, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    """Open a client that shows a token, and the application that it asks."""
    api = application(engine, policies=policies, requests_per_minute=0, **settings)
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with within(30), httpx.AsyncClient(transport=transport, base_url="https://loom.example") as client:
        client.headers.update(headers)
        yield client, api


async def signed_in(client: httpx.AsyncClient, secret: str) -> str:
    """Get a session of the console for a token, and return its secret."""
    answer = await client.post("/login", data={"token": secret, "next": "/runs?status=failed"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?status=failed"), answer.text
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/"} <= set(cookie.split("; "))
    return cookie.partition(";")[0].partition("=")[2]
