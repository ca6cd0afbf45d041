"""Acts as a browser that signs in at an OpenID provider on this machine, and forges the tokens of the provider."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from joserfc.jwk import ECKey
from sqlalchemy import func, select

from loom_common.async_engine import AsyncEngine
from loom_coordinator.db.tables.access import oidc_sessions as sessions
from loom_dev.waiting import within
from support.api import application
from support.oidc_provider import AUDIENCE, CLIENT, CONSOLE, OpenIdProvider, encoded

OWN = {"Origin": CONSOLE}
POLICIES = [
    {"user_pattern": "anna@example.com|group:readers", "resource_pattern": "runs/p", "actions": ["read"], "allow": True}
]  # fmt: skip


def configured(provider: OpenIdProvider, **more: Any) -> dict[str, Any]:
    """Return the settings of Loom for a provider."""
    return {
        "issuer": provider.issuer, "client_id": CLIENT, "client_secret": "${THE_SECRET}", "console_url": CONSOLE,
        "user_claim": "email", "groups_claim": "groups", "audience": AUDIENCE, **more,
    }  # fmt: skip


@asynccontextmanager
async def browsing(
    engine: AsyncEngine, provider: OpenIdProvider, policies: Sequence[Any] = POLICIES, **oidc: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Open the browser of somebody who has not signed in."""
    app = application(engine, policies=policies, requests_per_minute=0, oidc=configured(provider, **oidc))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with within(30), httpx.AsyncClient(transport=transport, base_url=CONSOLE) as client:
        yield client


async def sent_back(client: httpx.AsyncClient, provider: OpenIdProvider, path: str = "/login/oidc") -> str:
    """Begin to sign in, sign in at the provider, and return where it sends the browser."""
    begun = await client.get(path)
    assert begun.status_code == 303, begun.text
    assert begun.headers["location"].startswith(f"{provider.issuer}/authorize?")
    return await provider.sign_in(begun.headers["location"])


def cookies_in(answer: httpx.Response, name: str) -> list[str]:
    """Return the cookies of a name that an answer sets."""
    return [each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{name}=")]


async def count_sessions(engine: AsyncEngine) -> int:
    """Return how many sessions are stored."""
    async with engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(sessions))).scalar_one()


def with_no_algorithm(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    """Return a token that says that it is not signed."""
    return f"{encoded({'alg': 'none'})}.{encoded(claims)}."


def as_hmac(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    """Return a token that is signed with the public key as a secret."""
    [key] = provider.keys.values()
    signed = f"{encoded({'alg': 'HS256', 'kid': 'first'})}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key.as_pem(private=False), signed.encode(), hashlib.sha256))}"


def by_another_key(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    """Return a token that is signed with a key that the provider does not have."""
    return provider.signed(claims, ECKey.generate_key("P-256"))
