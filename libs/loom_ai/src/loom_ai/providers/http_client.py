"""Model endpoints over HTTP, whichever protocol they speak: keys, retries, breakers and refusals are the same for all.

One aiohttp session, because it is the cheapest client per call and its pool stays linear (docs/adr/0007)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import aiohttp
import orjson
import structlog

from loom_ai.adapted import package
from loom_ai.http.bodies import ACCEPTED, body_of
from loom_ai.http.http_errors import EndpointReference, Limits, broken_off, late, unreachable
from loom_ai.http.received import Received, meant
from loom_ai.keys import key_of
from loom_ai.pacing.buckets import Buckets
from loom_ai.pacing.pace import EndpointPacing, Turn
from loom_ai.pacing.retry import RetryPolicy, delay_after, delay_when_limited, retry_after_of
from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import ModelAnswer, ModelCall, Waits
from loom_ai.providers.learned_limits import Learned, explains_itself
from loom_ai.settings import ModelSettings
from loom_ai.wire.finish import UNUSABLE
from loom_ai.wire.form import Form, Manner
from loom_ai.wire.wires import wire_of
from loom_common.config.credentials import Credentials
from loom_common.domain.model_options.providers import ADAPTED, provider_named
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import redacted
from loom_common.errors import (
    AccessRefused,
    BreakerOpen,
    MissingCredential,
    PermanentError,
    RateLimited,
    RecordError,
    TransientError,
)
from loom_common.ports.clock import Clock, SystemClock
from loom_common.resilience.breakers import Breakers

if TYPE_CHECKING:
    from loom_ai.adapted.models import AdaptedModels

log = structlog.get_logger()

_IDLE_SECONDS = 30.0
"""How long an unused connection is kept."""

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": ACCEPTED}


class HttpModelClient:
    """A `ModelClient`. To each model it has at most as many calls in flight as the call's `concurrency` says, or else
    `settings.concurrency`, beside those that hang."""

    def __init__(
        self,
        settings: ModelSettings | None = None,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        breakers: Breakers | None = None,
        buckets: Buckets | None = None,
    ) -> None:
        self._settings = settings or ModelSettings()
        self._credentials = credentials or Credentials()
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._breakers = breakers or Breakers(clock=clock)
        self._policy = RetryPolicy(self._settings.attempts, self._settings.retry_delay, self._settings.retry_ceiling)
        self._pace = EndpointPacing(buckets, self._settings.concurrency, clock)
        self._learned = Learned()
        self._answered: set[tuple[str, str]] = set()
        """Endpoints and models that have answered."""
        self._session: aiohttp.ClientSession | None = None
        self._adapted: AdaptedModels | None = None

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        waits = waits or Waiting()
        failed = limited = 0
        trouble: TransientError
        while True:
            try:
                return await self._in_strongest_form(call, waits)
            except BreakerOpen:
                raise
            except RateLimited as error:
                limited += 1
                tries, trouble = limited, error
                delay = delay_when_limited(limited, self._policy, error.retry_after, self._jitter())
            except TransientError as error:
                failed += 1
                tries, trouble = failed, error
                delay = delay_after(failed, self._policy, error.retry_after, self._jitter())
            if delay is None:
                words = counted(tries, "attempt")
                raise type(trouble)(f"{trouble} Gave up after {words}.", retry_after=trouble.retry_after) from trouble
            async with waits.for_a_turn():
                await self._clock.sleep(delay)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._adapted is not None:
            await self._adapted.close()
        await self._pace.close()

    async def _in_strongest_form(self, call: ModelCall, waits: Waits) -> ModelAnswer:
        """In the strongest form and with the parameters that the endpoint takes, as far as is known. A refusal that is
        about them is learned from, and the question put again; any other one is the record's own."""
        place = (call.base_url, call.model)
        schema_place = orjson.dumps([*place, call.schema], default=str)
        while True:
            manner, forms = self._learned.manner(place), self._learned.forms(schema_place, _forms(call))
            try:
                answer = await self._at_its_turn(call, forms[0], manner, waits)
            except RecordError as refused:
                if manner != self._learned.manner(place) or forms != self._learned.forms(schema_place, forms):
                    continue  # another call was refused at the same time, and learned from it
                if self._learned.otherwise(refused, call, place, _limits_of(call)):
                    log.info("a parameter is left out from now on", model=call.model, said=str(refused))
                    continue
                if self._learned.weaker(refused, schema_place, forms):
                    continue
                if explains_itself(refused) or not self._learned.may_be_the_form(schema_place, forms):
                    raise
                return await self._in_weaker_forms(call, schema_place, forms[1:], refused, waits)
            if answer.finish_reason != UNUSABLE:
                self._learned.worked(schema_place, forms[0])
            return answer

    async def _in_weaker_forms(
        self, call: ModelCall, schema_place: bytes, forms: tuple[Form, ...], refused: RecordError, waits: Waits
    ) -> ModelAnswer:
        """After a refusal that does not say what it is about. Raises the first where it was not about the form."""
        for form in forms:
            try:
                manner = self._learned.manner((call.base_url, call.model))
                answer = await self._at_its_turn(call, form, manner, waits)
            except RecordError:
                continue
            if answer.finish_reason != UNUSABLE:
                self._learned.worked(schema_place, form)
            return answer
        raise refused

    async def _at_its_turn(self, call: ModelCall, form: Form, manner: Manner, waits: Waits) -> ModelAnswer:
        async with self._pace.turn(call, waits) as turn:
            try:
                upstream = f"model {call.model} at {redacted(call.base_url)}"
                async with self._breakers.guarding(upstream, lambda: key_of(call)):
                    answer = await self._ask(call, form, manner, turn)
                    if answer.finish_reason != UNUSABLE:
                        self._answered.add((call.base_url, call.model))
            except RateLimited as error:
                await turn.refused(error)
                raise
            turn.answered(answer)
            return answer

    async def _ask(self, call: ModelCall, form: Form, manner: Manner, turn: Turn) -> ModelAnswer:
        place = EndpointReference(call.base_url, call.model, _key(call))
        base_url, secret, headers = self._resolved(call)
        limits = self._limits(call)
        if call.provider in ADAPTED:
            adapted = await self._adapter(call.provider)
            known = (call.base_url, call.model) in self._answered
            return await adapted.ask(call, form, manner, place, base_url, secret, limits, answered_before=known)
        wire = wire_of(call.provider)
        started = self._clock.monotonic()
        try:
            async with self._connected().post(
                wire.url(base_url, call.model),
                data=wire.request_body(call, form, manner),
                headers={**_HEADERS, **wire.headers(secret), **headers},
                timeout=_as_http_has_it(limits),
                allow_redirects=False,
            ) as response:
                body = await body_of(response)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise PermanentError(f"{place}: `base_url` is no http(s) address.") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise unreachable(place, error, base_url) from error
        except TimeoutError as error:
            raise late(place, limits) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if (call.base_url, call.model) in self._answered:
                raise broken_off(place, error) from error
            raise unreachable(place, error, base_url) from error
        latency = self._clock.monotonic() - started
        await turn.heard(response.headers)
        wait = retry_after_of(response.headers, self._clock.now())
        secrets, known = _secrets(call, secret, headers), (call.base_url, call.model) in self._answered
        received = Received(body, call, place, latency, wait, secrets, known)
        return meant(wire, response.status, response.headers, received)

    async def _adapter(self, provider: str) -> AdaptedModels:
        """What asks the models of a provider that needs the extra. The first time takes seconds. Raises
        `PermanentError` where that is not installed."""
        if self._adapted is None:
            made = await asyncio.to_thread(package.adapted_models, provider)
            self._adapted = self._adapted or made
        return self._adapted

    def _resolved(self, call: ModelCall) -> tuple[str, str | None, dict[str, str]]:
        """Endpoint, key and further headers with every reference resolved: the only place that sees a secret."""
        try:
            base_url = self._credentials.expand(call.base_url, in_url=True).rstrip("/")
            headers = {name: self._header(name, text) for name, text in call.extras.headers.items()}
            return base_url, self._secret(call), headers
        except MissingCredential as error:
            raise AccessRefused(f"model {call.model}: {error}") from error

    def _header(self, name: str, text: str) -> str:
        value = self._credentials.expand(text).strip()
        if not value.isascii() or not value.isprintable():
            raise AccessRefused(
                f"The header {name} cannot be sent: what {text} resolves to holds characters that no header may have."
            )
        return value

    def _secret(self, call: ModelCall) -> str | None:
        reference = _key(call)
        if not reference or (call.api_key is None and self._credentials.missing(reference)):
            return None
        return self._credentials.expand(reference).strip()

    def _limits(self, call: ModelCall) -> Limits:
        """A limit of the call's own is one for all of it: how long it may be silent then follows."""
        settings = self._settings
        return Limits(
            connect=settings.connect_timeout,
            read=call.timeout or settings.read_timeout,
            total=call.timeout or settings.total_timeout,
            connections=call.concurrency or settings.concurrency,
        )

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit here: time spent waiting for a connection would count as the call's.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


def _forms(call: ModelCall) -> tuple[Form, ...]:
    """The forms a call may take, strongest first."""
    if call.provider in ADAPTED:
        return (Form.PLAIN,) if call.schema is None else (Form.JSON_SCHEMA, Form.PLAIN)
    return wire_of(call.provider).forms(call)


def _limits_of(call: ModelCall) -> tuple[str, ...]:
    """The names under which the endpoint may know the longest answer."""
    return ("max_tokens",) if call.provider in ADAPTED else wire_of(call.provider).limits(call.base_url)


def _as_http_has_it(limits: Limits) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=limits.total, sock_connect=limits.connect, sock_read=limits.read)


def _secrets(call: ModelCall, key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What a call is sent with and no one may read: the key, and headers that are made of references."""
    referring = (headers[name] for name, text in call.extras.headers.items() if headers[name] != text)
    return tuple(each for each in (key, *referring) if each)


def _key(call: ModelCall) -> str:
    """The credential reference that a call goes with; empty for none."""
    return call.api_key if call.api_key is not None else provider_named(call.provider).key or ""
