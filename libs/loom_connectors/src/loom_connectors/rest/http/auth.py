"""Adds to requests the credentials that are configured, or a token that is fetched and renewed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus, urlencode

import orjson

from loom_common.config.credentials import Credentials
from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError, RateLimited
from loom_common.ports.clock import Clock
from loom_connectors.rest.http.address import Address, Query
from loom_connectors.rest.http.answer import Answer
from loom_connectors.rest.http.options import ApiKey, Basic, Bearer, ClientCredentials

_EARLY = 60.0
"""A token is renewed this many seconds before it expires, and never before half of its life is over."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Holds what authenticates a request. Its representation holds no secret."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Query = field(default=(), repr=False)

    @property
    def secrets(self) -> list[str]:
        """Return what may not be shown or stored."""
        words = [each for value in self.headers.values() for each in (value, value.rpartition(" ")[2])]
        return [*words, *(value for _, value in self.query)]


class Authentication(Protocol):
    """Gives what authenticates requests to the API's own host."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the parameters of the query that it sends."""
        ...

    async def proof(self) -> Proof:
        """Return the proof. Raises `AccessRefused`, and what the request for a token raises."""
        ...

    def refused(self, proof: Proof) -> bool:
        """Take notice that a server refused the proof with 401. Tells whether another one can be had."""
        ...


class Fixed:
    """Sends the same with every request."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._proof.query)

    async def proof(self) -> Proof:
        return self._proof

    def refused(self, proof: Proof) -> bool:
        return False


Post = Callable[[str, Mapping[str, str], bytes], Awaitable[Answer]]
"""Posts a body to an address, without what authenticates requests to the API."""


class FetchedToken:
    """Sends a token that it fetches, and renews it before it expires."""

    names: tuple[str, ...] = ()

    def __init__(self, config: ClientCredentials, credentials: Credentials, post: Post, clock: Clock) -> None:
        self._config = config
        self._post = post
        self._clock = clock
        self._client = credentials.expand(config.client_id)
        self._secret = credentials.expand(config.client_secret)
        self._data = {name: credentials.expand(str(value)) for name, value in config.access_token_request_data.items()}
        self._fetching = asyncio.Lock()
        self._proof: Proof | None = None
        self._renewed_at = 0.0

    async def proof(self) -> Proof:
        async with self._fetching:
            if self._proof is None or self._clock.monotonic() >= self._renewed_at:
                self._proof = await self._fetched()
            return self._proof

    def refused(self, proof: Proof) -> bool:
        if self._proof is proof:
            self._proof = None
        return True

    async def _fetched(self) -> Proof:
        form = {"grant_type": "client_credentials", **self._data}
        if self._config.scopes:
            form["scope"] = " ".join(self._config.scopes)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._config.client_location == "header":  # RFC 6749 encodes both before they are joined
            headers["Authorization"] = basic(quote_plus(self._client), quote_plus(self._secret))
        else:
            form |= {"client_id": self._client, "client_secret": self._secret}
        asked_at = self._clock.monotonic()
        answer = await self._post(self._config.access_token_url, headers, urlencode(form).encode())
        token, seconds = self._read(answer)
        self._renewed_at = asked_at + max(seconds - _EARLY, seconds / 2)
        return Proof({"Authorization": f"Bearer {token}"})

    def _read(self, answer: Answer) -> tuple[str, float]:
        """Return the token and the seconds it is good for. What the server says is not quoted: it may hold secrets."""
        place = f"The token of {self._config.access_token_url.partition('?')[0]}"
        if answer.status == 429:
            raise RateLimited(f"{place}: the server asks to slow down (429).", retry_after=answer.pause)
        if answer.status in (408, 425) or answer.status >= 500:
            raise DependencyUnavailable(f"{place}: the server answered {answer.status}.", retry_after=answer.pause)
        if answer.status in (400, 401, 403):
            raise AccessRefused(
                f"{place} was refused with {answer.status}. See `client_id`, `client_secret` and `scopes` of "
                "`options.auth`, and whether the server takes them in the body: `client_location: body`."
            )
        try:
            document = orjson.loads(answer.body)
        except ValueError:
            document = None
        token = document.get("access_token") if isinstance(document, dict) else None
        if answer.status != 200 or not isinstance(token, str) or not _fits_a_header(token):
            raise PermanentError(
                f"{place}: the server answered {answer.status} without an `access_token`. See `access_token_url` of "
                "`options.auth`."
            )
        try:
            seconds = float(document.get("expires_in") or self._config.default_token_expiration)
        except (TypeError, ValueError):
            seconds = self._config.default_token_expiration
        return token, max(seconds, 0.0)


def basic(user: str, password: str) -> str:
    """Return the header for user and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def authentication(
    config: Bearer | Basic | ApiKey | ClientCredentials | None,
    address: Address,
    credentials: Credentials,
    post: Post,
    clock: Clock,
) -> Authentication:
    """Return what authenticates requests: by the options, else by user and password of the location. Raises
    `MissingCredential`, and `AccessRefused` for a secret that no header can carry."""
    match config:
        case None if address.user is not None:
            return Fixed(Proof({"Authorization": basic(address.user, address.password or "")}))
        case None:
            return Fixed(Proof())
        case Bearer():
            return Fixed(Proof({"Authorization": f"Bearer {header_value(credentials, config.token)}"}))
        case Basic():
            user, password = credentials.expand(config.username), credentials.expand(config.password)
            return Fixed(Proof({"Authorization": basic(user, password)}))
        case ApiKey() if config.location == "query":
            return Fixed(Proof(query=((config.name, credentials.expand(config.api_key)),)))
        case ApiKey():
            return Fixed(Proof({config.name: header_value(credentials, config.api_key)}))
        case ClientCredentials():
            return FetchedToken(config, credentials, post, clock)


def header_value(credentials: Credentials, written: str) -> str:
    """Return the value of a header. Raises `AccessRefused` where what a reference stands for holds characters that no
    header can carry."""
    value = credentials.expand(written).strip()
    if not _fits_a_header(value):
        raise AccessRefused(f"What {written} stands for cannot be sent: it holds characters that no header may have.")
    return value


def _fits_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable()
