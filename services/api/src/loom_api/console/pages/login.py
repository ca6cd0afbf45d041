"""Declares the pages by which people sign in with a token, and out of every session."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from loom_api.console.shown.forms import read_form
from loom_api.console.shown.rendering import Page, next_page, page
from loom_api.gate import COOKIE
from loom_api.http.guard import client_of, name_in
from loom_api.http.rates import Rates
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.domain.identity_provider import is_loopback
from loom_common.logs.logger import log
from loom_coordinator.db import audit_log
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.sign_in import oidc_sessions, tokens
from loom_coordinator.db.sign_in.tokens import SESSION
from loom_coordinator.db.unit_of_work import trouble_told

_PER_MINUTE = 10
"""Says how often a client may try to sign in within a minute."""
_LONGEST = 200
_LOGIN = "console"
"""The name of the resource that somebody signs in to, in the audit log."""


def router(source: Source, settings: ApiSettings) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=Page)
    tries = Rates(_PER_MINUTE)

    @routes.get("/login")
    async def show_login(after: Annotated[str, Query(alias="next", max_length=4_000)] = "/") -> Page:
        """Ask for a token, or lead to the OpenID provider."""
        return login_page(source, after)

    @routes.post("/login")
    async def sign_in(request: Request) -> Response:
        """Open a session of the console with a token."""
        form = await read_form(request)
        client = client_of(request.scope, request.headers, settings)
        if wait := tries.wait_of(client):
            words = f"More than {_PER_MINUTE} tries to sign in came from this client within a minute."
            raise HTTPException(429, words, headers={"Retry-After": str(math.ceil(wait))})
        after, now = form.one("next") or "/", dt.datetime.now(dt.UTC)
        with trouble_told(source.engine.url):
            async with source.engine.begin() as connection:
                token = await tokens.find(connection, (form.one("token") or "").strip()[:_LONGEST], now)
                if token is None:
                    log.warning("somebody tried to sign in with what is no token", client=client)
                    return login_page(source, after, 401, "This is no token, or it has expired or is revoked.")
                session = await tokens.open_session(connection, token, now)
                act = Act(token.user, token.name, "sign in", _LOGIN)
                await audit_log.note(connection, act, now, audit_log.DONE)
        answer = next_page(own_address(after))
        keep_session(answer, request, session, SESSION.total_seconds())
        return answer

    @routes.post("/logout")
    async def sign_out(request: Request) -> Response:
        """End the session. Whoever signed in at the OpenID provider is shown where to sign out there."""
        await read_form(request)
        session = request.cookies.get(COOKIE, "")[:_LONGEST]
        elsewhere = None
        with trouble_told(source.engine.url):
            async with source.engine.begin() as connection:
                await tokens.end_session(connection, session)
                await oidc_sessions.end(connection, session)
        if session.startswith(oidc_sessions.PREFIX) and source.provider is not None:
            elsewhere = await source.provider.sign_out_url()
        answer = next_page("/login") if elsewhere is None else page("signed_out.html", elsewhere=elsewhere)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return routes


def login_page(source: Source, after: str, code: int = 200, trouble: str | None = None) -> Page:
    """Return the page that asks who somebody is. It says why they are not signed in, if they tried."""
    provider = None if source.provider is None else urlsplit(source.provider.issuer).netloc
    return page("login.html", code=code, after=after, trouble=trouble, provider=provider)


def keep_session(answer: Response, request: Request, session: str, seconds: float) -> None:
    """Give the browser a session, which no script reads and no page of another site sends."""
    answer.set_cookie(
        COOKIE, session, max_age=int(seconds), httponly=True, samesite="strict", secure=is_secure(request)
    )


def is_secure(request: Request) -> bool:
    """Tell whether a cookie is for encrypted connections alone: wherever others than this machine are asked."""
    return not is_loopback(name_in(request.headers.get("host", "")))


def own_address(address: str) -> str:
    """Return an address of the console; its first page in the place of one of another site."""
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if own and address.isascii() else "/"
