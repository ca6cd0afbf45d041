"""Declares the addresses by which people sign in at the OpenID provider: the way there, and the way back."""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from loom_api.console.pages.login import is_secure, keep_session, login_page, own_address
from loom_api.console.shown.rendering import Page, next_page, page
from loom_api.http.guard import client_of
from loom_api.http.rates import Rates
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.errors import NotFound, PermanentError
from loom_common.logs.logger import log
from loom_coordinator.db import audit_log
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.sign_in import oidc_sessions
from loom_coordinator.db.sign_in.oidc_sessions import SignedIn
from loom_coordinator.db.unit_of_work import trouble_told

if TYPE_CHECKING:
    from loom_api.oidc.attempt import Attempt
    from loom_api.oidc.provider import Provider


_COOKIE = "loom_login"
_PATH = "/login"
_SECONDS = 600
"""Says how long somebody may take at the provider."""
_PER_MINUTE = 30
"""Says how often a client may begin, and how often it may come back, within a minute. Each asks the provider."""
_LONGEST = 4_000
_CODE = re.compile("[a-z_]{1,50}")


def router(source: Source, settings: ApiSettings) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=Page)
    ways = _Ways(source, settings)

    @routes.get("/login/oidc")
    async def begin(
        request: Request, after: Annotated[str, Query(alias="next", max_length=_LONGEST)] = "/"
    ) -> Response:
        """Lead to the provider. The browser keeps what ties its answer to this attempt."""
        return await ways.there(request, own_address(after))

    @routes.get("/login/callback")
    async def end(
        request: Request,
        state: Annotated[str, Query(max_length=_LONGEST)] = "",
        code: Annotated[str, Query(max_length=_LONGEST)] = "",
        error: Annotated[str, Query(max_length=_LONGEST)] = "",
        iss: Annotated[str | None, Query(max_length=_LONGEST)] = None,
    ) -> Response:
        """Open a session for whoever the provider says it is."""
        return await ways.back(request, state, code, error, iss)

    return routes


class _Ways:
    """Leads browsers to the provider, and takes them back."""

    def __init__(self, source: Source, settings: ApiSettings) -> None:
        self._source = source
        self._settings = settings
        self._begun, self._ended = Rates(_PER_MINUTE), Rates(_PER_MINUTE)

    def _provider(self, request: Request, rates: Rates) -> Provider:
        if self._source.provider is None:
            raise NotFound("No OpenID provider is named in `access` of loom.yaml.")
        if wait := rates.wait_of(client_of(request.scope, request.headers, self._settings)):
            words = f"More than {_PER_MINUTE} tries to sign in came from this client within a minute."
            raise HTTPException(429, words, headers={"Retry-After": str(math.ceil(wait))})
        return self._source.provider

    async def there(self, request: Request, after: str) -> Response:
        """Lead to the provider, and let the page `after` be opened at the end."""
        provider = self._provider(request, self._begun)
        from loom_api.oidc.attempt import Attempt  # with the extra `oidc` alone

        attempt = Attempt.begin()
        answer = next_page(await provider.sign_in_url(attempt))
        # Lax, because the answer comes from a page of the provider.
        answer.set_cookie(
            _COOKIE,
            _written(attempt, after),
            max_age=_SECONDS,
            path=_PATH,
            httponly=True,
            samesite="lax",
            secure=is_secure(request),
        )
        return answer

    async def back(self, request: Request, state: str, code: str, error: str, issuer: str | None) -> Response:
        """Open a session for whoever the provider says it is."""
        provider = self._provider(request, self._ended)
        attempt, after = _read(request.cookies.get(_COOKIE, ""))
        if attempt is None or not attempt.fits(state):
            return self._refused("/", "This browser did not begin to sign in, took too long, or began again.")
        if error or not code:
            named = f" ({error})" if _CODE.fullmatch(error) else ""
            return self._refused(after, f"The OpenID provider did not sign you in{named}.")
        try:
            who = await provider.signed_in(attempt, code, issuer)
        except PermanentError as trouble:
            client = client_of(request.scope, request.headers, self._settings)
            log.warning("somebody could not sign in", client=client, trouble=str(trouble))
            return self._refused(after, str(trouble))
        found = SignedIn(who.user, who.groups, provider.issuer, who.subject)
        session = await self._opened(attempt, found, provider.session_seconds)
        if session is None:
            return self._refused(after, "This answer of the OpenID provider signed somebody in before. Try again.")
        # A page of its own, because the browser would not send the new cookie along a redirect from another site.
        answer = page("signed_in.html", after=after)
        keep_session(answer, request, session, provider.session_seconds)
        return _forgetting(answer)

    async def _opened(self, attempt: Attempt, who: SignedIn, seconds: float) -> str | None:
        now = dt.datetime.now(dt.UTC)
        with trouble_told(self._source.engine.url):
            async with self._source.engine.begin() as connection:
                session = await oidc_sessions.open_session(connection, attempt.state, who, now, seconds)
                if session is not None:
                    act = Act(who.user, None, "sign in", "console", {"issuer": who.issuer, "subject": who.subject})
                    await audit_log.note(connection, act, now, audit_log.DONE)
        return session

    def _refused(self, after: str, words: str) -> Response:
        return _forgetting(login_page(self._source, after, 401, words))


def _forgetting(answer: Response) -> Response:
    """Let the browser forget the attempt."""
    answer.delete_cookie(_COOKIE, path=_PATH, httponly=True, samesite="lax")
    return answer


def _written(attempt: Attempt, after: str) -> str:
    """Return what the browser keeps of an attempt: its secret, and the page that is opened at its end."""
    return f"{attempt.secret}.{base64.urlsafe_b64encode(after.encode()).rstrip(b'=').decode()}"


def _read(cookie: str) -> tuple[Attempt | None, str]:
    from loom_api.oidc.attempt import Attempt

    secret, _, encoded = cookie.partition(".")
    try:
        after = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        after = "/"
    return Attempt(secret) if len(secret) >= 43 else None, own_address(after)
