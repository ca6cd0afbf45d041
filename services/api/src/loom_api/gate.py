"""Decides for every request who asks, and whether they may, before a route, an idempotency key or a body is looked
at."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from loom_api.access import SIGNED_IN, VIEWER, Address, By, Needs
from loom_api.http.answers import PREFIX
from loom_api.http.guard import client_of
from loom_api.http.problems import answered, problem
from loom_api.http.rates import Rates
from loom_api.running.noting import note_denied
from loom_api.settings import ApiSettings
from loom_api.source import Source
from loom_common.domain.access import ALL, Kind, Viewer
from loom_common.errors import LoomError, NotFound, PermanentError
from loom_common.logs.logger import log
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.sign_in import oidc_sessions, tokens
from loom_coordinator.db.sign_in.tokens import TokenLine
from loom_coordinator.db.unit_of_work import trouble_told

COOKIE = "loom_session"
_FAILURES_PER_MINUTE = 10
"""Says how often a client may give what is no token in a minute."""
_LONGEST = 200
"""The most characters of a token."""
_UNKNOWN = "This is no token, or it has expired or is revoked. `loom token create` makes one."
_NUMBER = re.compile("[0-9]{1,18}")


class Gate:
    """Wraps an ASGI application whose access is controlled."""

    def __init__(
        self,
        app: ASGIApp,
        known: Sequence[Address],
        source: Source,
        settings: ApiSettings,
        say: Callable[[str, Response], Response],
    ) -> None:
        self._app = app
        self._known = known
        self._source = source
        self._settings = settings
        self._say = say
        self._failures = Rates(_FAILURES_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            with trouble_told(self._source.engine.url):
                refusal = await self._refusal(scope)
        except LoomError as error:  # what cannot be decided goes no further
            refusal = answered(error)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await self._say(scope["path"], refusal)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further; None to one that does."""
        needs, parameters = self._needs(scope)
        if needs is not None and needs.by is By.NOBODY:
            return None
        headers = Headers(scope=scope)
        viewer = await self._viewer(scope, headers)
        if isinstance(viewer, Response):
            return viewer
        if viewer is None:
            return self._asked_to_sign_in(scope, headers)
        scope[VIEWER] = viewer
        SIGNED_IN.set(viewer.user)
        if needs is None:
            return None  # there is no such address, which the application says
        return await self._denial(viewer, needs, parameters, scope)

    def _needs(self, scope: Scope) -> tuple[Needs | None, dict[str, str]]:
        """Return what the address needs, and what it names; None where there is no such address."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for each in self._known:
            if method in each.needs and (found := each.pattern.match(scope["path"])):
                return each.needs[method], found.groupdict()
        return None, {}

    async def _viewer(self, scope: Scope, headers: Headers) -> Viewer | Response | None:
        """Return who asks, by the token or the session that a request comes with; None where it comes with none, or the
        answer to a wrong one."""
        kind, _, secret = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and scope["path"].startswith(f"{PREFIX}/"):
            return await self._bearer(secret.strip(), scope, headers)
        session = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        return None if session is None else await self._of_session(session[:_LONGEST])

    async def _bearer(self, secret: str, scope: Scope, headers: Headers) -> Viewer | Response:
        """Return who has a token of Loom, or an access token of the OpenID provider."""
        provider = self._source.provider
        if provider is not None and provider.takes_tokens and not secret.startswith(tokens.PREFIX):
            try:
                found = await provider.bearer(secret)
            except PermanentError as error:
                return self._failed(scope, headers, str(error))
            return self._seen(found.user, groups=found.groups)
        async with self._source.engine.connect() as connection:
            token = await tokens.find(connection, secret[:_LONGEST], dt.datetime.now(dt.UTC))
        return self._failed(scope, headers, _UNKNOWN) if token is None else self._of_token(token)

    async def _of_session(self, session: str) -> Viewer | None:
        """Return who signed in to the console; None where the session has ended."""
        now, provider = dt.datetime.now(dt.UTC), self._source.provider
        async with self._source.engine.connect() as connection:
            if not session.startswith(oidc_sessions.PREFIX):
                token = await tokens.of_session(connection, session, now)
                return None if token is None else self._of_token(token)
            if provider is None:
                return None
            found = await oidc_sessions.find(connection, session, provider.issuer, now)
        return None if found is None else self._seen(found.user, groups=found.groups)

    def _of_token(self, token: TokenLine) -> Viewer:
        return self._seen(token.user, token.name, token.scopes)

    def _seen(
        self, user: str, token_name: str | None = None, scopes: Sequence[str] = (ALL,), groups: Sequence[str] = ()
    ) -> Viewer:
        return Viewer(user, token_name, tuple(scopes), self._source.config.access.policies, tuple(groups))

    def _failed(self, scope: Scope, headers: Headers, words: str) -> Response:
        client = client_of(scope, headers, self._settings)
        if wait := self._failures.wait_of(client):
            slow = "Too many requests of this client came with what is no token."
            return problem(429, slow, headers={"Retry-After": str(int(wait) + 1)})
        log.warning("a request came with what is no token", client=client, path=scope["path"])
        return problem(401, words, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    def _asked_to_sign_in(self, scope: Scope, headers: Headers) -> Response:
        reads = scope["method"] in ("GET", "HEAD") and "hx-request" not in headers
        if reads and not scope["path"].startswith(f"{PREFIX}/"):
            query = scope["query_string"].decode("latin-1")
            place = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
            return Response(status_code=303, headers={"Location": f"/login?next={place}"})
        return problem(
            401,
            "This needs a token, in the header `Authorization: Bearer TOKEN`. `loom token create` makes one; the "
            "console takes it at /login.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _denial(self, viewer: Viewer, needs: Needs, parameters: dict[str, str], scope: Scope) -> Response | None:
        """Return the answer to a request that its user may not make; None to one that they may. Raises `NotFound` for
        what they may not see, which is not there for them."""
        if needs.by in (By.SIGNED_IN, By.ANSWER):
            return None
        pipeline = await self._pipeline(viewer, needs, parameters)
        if viewer.may(needs.kind, needs.action, pipeline):
            return None
        resource = needs.kind.value if pipeline is None else f"{needs.kind.value}/{pipeline}"
        act = Act(viewer.user, viewer.token_name, needs.action.value, resource, {"path": scope["path"][:500]})
        return problem(403, await note_denied(self._source.engine, viewer, act, parameters.get("run_id")))

    async def _pipeline(self, viewer: Viewer, needs: Needs, parameters: dict[str, str]) -> str | None:
        """Return the pipeline that a request is about. Raises `NotFound` where there is nothing that may be seen."""
        reads = self._source.reads_of(viewer)
        match needs.by:
            case By.RUN:
                run = await reads.row(parameters["run_id"])
                if run is None:
                    raise reads.no_run(parameters["run_id"])
                return run.pipeline_name
            case By.PIPELINE:
                if not viewer.may(Kind.PIPELINES, needs.action, parameters["name"]):
                    await reads.pipeline(parameters["name"])
                return parameters["name"]
            case By.ALERT:
                number = parameters["alert_id"]
                if not _NUMBER.fullmatch(number):  # the route may read `+1` as a number, too
                    raise NotFound(f"There is no alert {number[:40]}.")
                return await reads.pipeline_of_alert(int(number))
            case _:
                return None
