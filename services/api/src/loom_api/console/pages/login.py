"""Declares the pages by which people sign in with a token, and out."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from loom_api.console.shown.forms import read_form
from loom_api.console.shown.rendering import Page, next_page, page
from loom_api.gate import COOKIE
from loom_api.http.guard import client_of, name_in
from loom_api.http.rates import Rates
from loom_api.settings import ApiSettings, is_loopback
from loom_api.source import Source
from loom_coordinator.db import audit_log, tokens
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.tokens import SESSION
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
        """Ask for a token."""
        return page("login.html", after=after, wrong=False)

    @routes.post("/login")
    async def sign_in(request: Request) -> Response:
        """Open a session of the console with a token."""
        form = await read_form(request)
        if wait := tries.wait_of(client_of(request.scope, request.headers, settings)):
            words = f"More than {_PER_MINUTE} tries to sign in came from this client within a minute."
            raise HTTPException(429, words, headers={"Retry-After": str(math.ceil(wait))})
        after, now = form.one("next") or "/", dt.datetime.now(dt.UTC)
        with trouble_told(source.engine.url):
            async with source.engine.begin() as connection:
                token = await tokens.find(connection, (form.one("token") or "").strip()[:_LONGEST], now)
                if token is None:
                    return page("login.html", code=401, after=after, wrong=True)
                session = await tokens.open_session(connection, token, now)
                act = Act(token.user, token.name, "sign in", _LOGIN)
                await audit_log.note(connection, act, now, audit_log.DONE)
        answer = next_page(_own(after))
        answer.set_cookie(
            COOKIE,
            session,
            max_age=int(SESSION.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=not is_loopback(name_in(request.headers.get("host", ""))),
        )
        return answer

    @routes.post("/logout")
    async def sign_out(request: Request) -> Response:
        """End the session."""
        await read_form(request)
        with trouble_told(source.engine.url):
            async with source.engine.begin() as connection:
                await tokens.end_session(connection, request.cookies.get(COOKIE, "")[:_LONGEST])
        answer = next_page("/login")
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return routes


def _own(address: str) -> str:
    """Return an address of the console; its first page in the place of one of another site."""
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if own and address.isascii() else "/"
