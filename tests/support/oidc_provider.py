"""Runs an OpenID provider on this machine: it checks what it is asked, and signs what a test tells it to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import httpx
from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "loom-console", "a planted secret: 0815/ü"
AUDIENCE = "loom-api"
CONSOLE = "https://loom.example"


def encoded(data: bytes | Mapping[str, Any]) -> str:
    """Return bytes, or a document, as a part of a token."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class OpenIdProvider:
    """Holds what the provider knows, and what it was asked."""

    def __init__(self) -> None:
        self.issuer = ""
        self.keys: dict[str, ECKey | RSAKey] = {}
        self.rotate("first")
        self.user: dict[str, Any] = {"sub": "248289761001", "email": "anna@example.com", "email_verified": True}
        """Holds the claims of whoever signs in next."""
        self.user_info: dict[str, Any] | None = None
        """Holds what is said of them beside the ID token, where there is such an endpoint."""
        self.claims: dict[str, Any] = {}
        """Replaces claims of ID tokens; those that are None are left out."""
        self.forge: Callable[[dict[str, Any]], str | None] = self.signed
        """Makes the ID token of its claims."""
        self.metadata: dict[str, Any] = {}
        """Replaces what the discovery document says."""
        self.codes: dict[str, dict[str, str]] = {}
        self.once = True
        """Tells whether a code can be used once."""
        self.asked: Counter[str] = Counter()
        """Counts the requests by path."""

    def rotate(self, kid: str) -> None:
        """Use another key from now on, and withdraw the ones before."""
        self.keys = {kid: ECKey.generate_key("P-256", {"kid": kid})}

    def signed(self, claims: Mapping[str, Any], key: ECKey | RSAKey | None = None, **header: Any) -> str:
        """Return a signed token."""
        [(kid, own)] = self.keys.items()
        algorithm = "ES256" if isinstance(key or own, ECKey) else "RS256"
        whole = {"alg": algorithm, "kid": kid, **header}
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jws.serialize_compact(whole, json.dumps(claims).encode(), key or own, registry=registry)

    def access_token(self, **claims: Any) -> str:
        """Return an access token for the API."""
        return self.signed(self.said({"aud": AUDIENCE, **self.user, **claims}), typ="at+jwt")

    def said(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return claims with those that every token has; those that are None are left out."""
        now = int(time.time())
        whole = {"iss": self.issuer, "iat": now, "exp": now + 300, **claims}
        return {name: value for name, value in whole.items() if value is not None}

    async def sign_in(self, url: str) -> str:
        """Open an address at which somebody signs in, as a browser does, and return where they are sent back to."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(url)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def _discovery(self, _request: web.Request) -> web.Response:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            **({} if self.user_info is None else {"userinfo_endpoint": f"{self.issuer}/userinfo"}),
            **self.metadata,
        }
        return web.json_response({name: value for name, value in known.items() if value is not None})

    async def _keys(self, _request: web.Request) -> web.Response:
        listed = [{**key.as_dict(private=False), "use": "sig"} for key in self.keys.values()]
        return web.json_response({"keys": [{"kty": "unknown"}, *listed]})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == f"{CONSOLE}/login/callback"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{back}")

    async def _token(self, request: web.Request) -> web.Response:
        form = parse_qs(await request.text())
        said = {name: values[0] for name, values in form.items()}
        if not self._is_client(request, said):
            return web.json_response({"error": "invalid_client"}, status=401)
        asked = self.codes.pop(said["code"], None) if self.once else self.codes.get(said["code"])
        challenge = encoded(hashlib.sha256(said["code_verifier"].encode()).digest())
        if asked is None or challenge != asked["code_challenge"] or said["redirect_uri"] != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert said["grant_type"] == "authorization_code"
        token = self.forge(self.said({"aud": CLIENT, "nonce": asked["nonce"], **self.user, **self.claims}))
        answer = {"access_token": "for the user info", "token_type": "Bearer", "id_token": token}
        return web.json_response({name: value for name, value in answer.items() if value is not None})

    def _is_client(self, request: web.Request, said: Mapping[str, str]) -> bool:
        if "client_secret_post" in self.metadata.get("token_endpoint_auth_methods_supported", ()):
            return (said.get("client_id"), said.get("client_secret")) == (CLIENT, SECRET)
        kind, _, pair = request.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        return (kind, unquote_plus(name), unquote_plus(secret)) == ("Basic", CLIENT, SECRET)

    async def _user_info(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer for the user info"
        return web.json_response(self.user_info)

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> Any:
        self.asked[request.path] += 1
        return await handler(request)

    def application(self) -> web.Application:
        """Return what answers for it."""
        app = web.Application(middlewares=[self._count])
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._keys)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/userinfo", self._user_info)
        return app


@asynccontextmanager
async def openid_provider() -> AsyncIterator[OpenIdProvider]:
    """Run a provider on a free port of this machine."""
    provider = OpenIdProvider()
    runner = web.AppRunner(provider.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


def query_of(url: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
