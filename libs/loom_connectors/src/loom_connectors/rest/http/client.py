"""Sends requests to one API: paced, tried again, and with its credentials to no other host."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import aiohttp
import yarl

from loom_common.config.credentials import Credentials
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import redacted
from loom_common.errors import PermanentError, RateLimited, TransientError, UpstreamTroubled
from loom_common.http.bodies import ACCEPTED, read_body
from loom_common.http.retry import RetryPolicy, delay_after, delay_when_limited
from loom_common.http.sessions import open_session
from loom_common.ports.clock import Clock
from loom_common.resilience.pauses import pausing
from loom_connectors.rest.http.address import Address, Origin, Query, joined, lacking, with_query, without
from loom_connectors.rest.http.answer import Answer
from loom_connectors.rest.http.auth import Authentication, Proof, authentication, header_value
from loom_connectors.rest.http.options import RequestOptions
from loom_connectors.rest.http.pacing import LONGEST_PAUSE, Pace, pause_asked
from loom_connectors.rest.http.refusals import unanswered
from loom_connectors.rest.http.templates import Values

_HEADERS = {"User-Agent": "loom", "Accept": "application/json", "Accept-Encoding": ACCEPTED}
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTIONS = 5
_ANSWER_BYTES = 8 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """Represents a request, without what authenticates it."""

    method: str
    url: str = field(repr=False)
    query: Query = field(default=(), repr=False)
    is_link: bool = False
    """Tells whether a server wrote the address: then it has the parameters of the options already."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    most_bytes: int = _ANSWER_BYTES
    """The largest answer that is read."""
    once: bool = False
    """Tells whether it is not sent again where it failed, because whoever asks waits itself."""


class RestClient:
    """Sends requests to the API of an address."""

    def __init__(
        self,
        address: Address,
        options: RequestOptions,
        credentials: Credentials,
        values: Values,
        error: type[PermanentError],
        clock: Clock,
    ) -> None:
        """`error` is what is raised for what no further try can mend. Raises `ConfigurationError`."""
        self.address = address
        self.place = address.shown
        self._options = options
        self._credentials = credentials
        self._error = error
        self._clock = clock
        self._policy = RetryPolicy(options.attempts, first_delay=0.5, ceiling=LONGEST_PAUSE)
        self._pace = Pace(options.rate_limit, self._clock)
        self._auth: Authentication = authentication(options.auth, address, credentials, self._post, self._clock)
        self._query = [*address.query, *values.open_query(options.params)]
        self._secret_query = [*address.secret_query, *values.secret_query(options.params)]
        self._headers = {name: header_value(credentials, text) for name, text in options.headers.items()}
        self._open_headers = {name: text for name, text in options.headers.items() if "${" not in text}
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, read: Callable[[Answer], Awaitable[T]]) -> T:
        """Send a request, and again where it failed for a reason that may pass. `read` returns what the answer means,
        or raises; the request is sent again where it raises `TransientError`."""
        failed = limited = 0
        renewed = False
        trouble: TransientError
        while True:
            try:
                proof = await self._auth.proof()
                answer = await self._answered(request, proof)
                if answer.status == 401 and not renewed and self._auth.refused(proof):
                    renewed = True
                    continue
                return await read(answer)
            except RateLimited as error:
                if request.once:
                    raise
                limited += 1
                tries, trouble = limited, error
                delay = delay_when_limited(limited, self._policy, error.retry_after, random.random())  # noqa: S311
            except TransientError as error:
                if request.once:
                    raise
                failed += 1
                tries, trouble = failed, error
                delay = delay_after(failed, self._policy, error.retry_after, random.random())  # noqa: S311 - spreads
            if delay is None:
                words = f"{trouble} Gave up after {counted(tries, 'attempt')}."
                raise type(trouble)(words, retry_after=trouble.retry_after) from trouble
            with pausing(delay, str(trouble)):
                await self._clock.sleep(delay)

    async def stored(self, link: str) -> str:
        """Return a link as it may be stored: without what authenticates requests. Raises `PermanentError` where it
        leads to a host that is not allowed, or is no address."""
        try:
            url = joined(self.address.url, link)
        except ValueError:
            raise self._error(f"{self.place}: the next link of an answer is no address.") from None
        self._see_host(url, "a next link")
        names = [*self._auth.names, *(name for name, _ in self._secret_query)]
        return without(url, self._secrets(await self._auth.proof()), names)

    async def shown(self, text: str) -> str:
        """Return a text of a server without the secrets that it was sent. An answer that is no success has none."""
        return self._masked(text, await self._auth.proof())

    async def close(self) -> None:
        """Close all connections. The next request opens a new one."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _secrets(self, proof: Proof) -> list[str]:
        """Return every secret that requests carry."""
        in_headers = [value for name, value in self._headers.items() if name not in self._open_headers]
        return [each for each in (*proof.secrets, *in_headers, *(value for _, value in self._secret_query)) if each]

    def _masked(self, text: str, proof: Proof) -> str:
        for secret in sorted(filter(lambda each: len(each) > 3, self._secrets(proof)), key=len, reverse=True):
            text = text.replace(secret, "***")
        return self._credentials.without_secrets(text)

    async def _answered(self, request: Request, proof: Proof) -> Answer:
        """Return the answer to one try, after redirections. Raises `TransientError` where there is none."""
        url = request.url if request.is_link else with_query(request.url, self._asked_query(request.query))
        for _ in range(_MOST_REDIRECTIONS + 1):
            target, headers = url, self._open_headers
            if Origin.of(url) == self.address.origin:
                target = with_query(url, lacking(url, [*self._secret_query, *proof.query]))
                headers = {**self._headers, **proof.headers}
            await self._pace.turn()
            answer = await self._asked(request, target, {**_HEADERS, **headers, **request.headers})
            if answer.status not in _REDIRECTIONS or "Location" not in answer.headers:
                return answer if answer.status < 300 else self._without_secrets(answer, proof)
            url = self._redirected(request, url, answer)
        raise self._error(f"{self.place}: the server redirects in a circle.")

    def _without_secrets(self, answer: Answer, proof: Proof) -> Answer:
        text = self._masked(answer.body.decode("utf-8", "surrogateescape"), proof)
        return replace(answer, body=text.encode("utf-8", "surrogateescape"))

    def _asked_query(self, own: Query) -> Query:
        names = {name for name, _ in own}
        return [*(pair for pair in self._query if pair[0] not in names), *own]

    async def _asked(self, request: Request, url: str, headers: Mapping[str, str]) -> Answer:
        limits = self._options.timeouts
        timeout = aiohttp.ClientTimeout(total=limits.total, sock_connect=limits.connect, sock_read=limits.read)
        try:
            async with self._opened().request(
                request.method,
                yarl.URL(url, encoded=True),
                data=request.body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                body = await read_body(response, request.most_bytes)
                heard = response.headers
                links = tuple(heard.getall("Link", ()))
        except ValueError:
            raise self._error(f"{self.place}: the address, or a header, cannot be sent as it is.") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise unanswered(failure, url, self.place, limits) from None
        self._pace.heard(heard)
        if body.fault is not None and len(body.data) >= request.most_bytes:
            raise self._error(
                f"{self.place}: an answer is larger than {request.most_bytes:,} bytes. Ask for smaller pages."
            )
        if body.fault is not None:
            raise UpstreamTroubled(f"{self.place}: an answer cannot be read: {body.fault}.")
        return Answer(response.status, url, heard, body.data, links, pause_asked(heard, self._clock.now()))

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post to the server that gives tokens; it is sent no other credential."""
        return await self._asked(Request("POST", url, body=body), url, {**_HEADERS, **headers})

    def _redirected(self, request: Request, url: str, answer: Answer) -> str:
        """Return where a redirection leads. One that would make another request of it is refused."""
        try:
            target = joined(url, answer.headers["Location"])
        except ValueError:
            raise self._error(f"{self.place}: the server redirects to what is no address.") from None
        if request.method not in ("GET", "OPTIONS") and answer.status not in (307, 308):
            raise self._error(
                f"{self.place}: the server answered {request.method} with the redirection {answer.status} to "
                f"{_bare(target)}. Name that address, if it is the right one."
            )
        self._see_host(target, "a redirection")
        return target

    def _see_host(self, url: str, what: str) -> None:
        """Raises `PermanentError` for another host that is not allowed, and for the same one without TLS."""
        origin = Origin.of(url)
        if origin == self.address.origin:
            return
        if origin.host not in (each.lower() for each in self._options.allowed_hosts):
            raise self._error(
                f"{self.place}: {what} leads to {_bare(url)}, which is another server. Name its host in "
                "`options.allowed_hosts` if that is right; it is sent no credentials."
            )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = open_session()
        return self._session


def _bare(url: str) -> str:
    """Return an address without its query, which may hold secrets."""
    return redacted(url).partition("?")[0]
