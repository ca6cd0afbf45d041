"""Calls model endpoints over HTTP, with one implementation of keys, retries, breakers and errors for all protocols.

It uses a client of its own (`loom_ai.http.client`), because what a general one costs is the largest part of a call
(docs/adr/0065)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import lru_cache
from http.client import HTTPException
from typing import TYPE_CHECKING

import orjson

from loom_ai.adapted import package
from loom_ai.http.client.client import HttpClient
from loom_ai.http.client.errors import InvalidRequest, NoConnection
from loom_ai.http.http_errors import EndpointReference, Limits, interrupted_error, timeout_error, unreachable_error
from loom_ai.http.received import Received, answer_or_raise
from loom_ai.keys import key_of
from loom_ai.pacing.buckets import Buckets
from loom_ai.pacing.pace import EndpointPacing, Turn
from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import ModelAnswer, ModelCall, Waits
from loom_ai.providers.access import Access, key_reference, references_of, resolve
from loom_ai.providers.learned_limits import LearnedLimits, names_a_cause
from loom_ai.settings import ModelSettings
from loom_ai.wire.finish import UNUSABLE
from loom_ai.wire.form import AcceptedParameters, Form
from loom_ai.wire.wires import wire_for
from loom_common.config.credentials import Credentials
from loom_common.domain.model_options.providers import ADAPTED
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import redacted
from loom_common.errors import (
    AccessRefused,
    BreakerOpen,
    CredentialReplaced,
    PermanentError,
    RateLimited,
    RecordError,
    TransientError,
)
from loom_common.http.bodies import ACCEPTED
from loom_common.http.retry import RetryPolicy, delay_after, delay_when_limited, retry_after_of
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock
from loom_common.resilience.breakers import Breakers
from loom_common.resilience.pauses import pausing

if TYPE_CHECKING:
    from loom_ai.adapted.models import AdaptedModels

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": ACCEPTED}


class HttpModelClient:
    """Implements a `ModelClient` that asks endpoints over HTTP. To each model it has at most as many calls in flight as
    the call's `concurrency` says, or else `settings.concurrency`, beside those that hang."""

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
        self._learned = LearnedLimits()
        self._answered: set[tuple[str, str]] = set()
        """Holds the endpoints and models that have answered a call."""
        self._known_limits: dict[tuple[float | None, int | None], Limits] = {}
        self._http = HttpClient()
        self._adapted: AdaptedModels | None = None

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        waits = waits or Waiting()
        failed = limited = 0
        trouble: TransientError
        while True:
            try:
                return await self._call_in_strictest_form(call, waits)
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
                with pausing(delay, str(trouble)):
                    await self._clock.sleep(delay)

    async def close(self) -> None:
        await self._http.close()
        if self._adapted is not None:
            await self._adapted.close()
        await self._pace.close()

    async def _call_in_strictest_form(self, call: ModelCall, waits: Waits) -> ModelAnswer:
        """Call in the strongest form and with the parameters that the endpoint takes, as far as is known. A refusal
        that is about them is learned from, and the question put again; any other one is the record's own."""
        endpoint = (call.base_url, call.model)
        schema_key = orjson.dumps([*endpoint, call.schema, call.asking.reasoning_tokens], default=str)
        while True:
            accepted, forms = self._learned.accepted(endpoint), self._learned.forms(schema_key, _forms(call))
            try:
                answer = await self._call_when_paced(call, forms[0], accepted, waits)
            except RecordError as refused:
                if accepted != self._learned.accepted(endpoint) or forms != self._learned.forms(schema_key, forms):
                    continue  # another call was refused at the same time, and the refusal is remembered
                if self._learned.leave_out_parameter(refused, call, endpoint, _limits_of(call)):
                    log.info("a parameter is left out from now on", model=call.model, said=str(refused))
                    continue
                if self._learned.leave_out_form(refused, schema_key, forms):
                    continue
                if names_a_cause(refused) or not self._learned.may_be_about_form(schema_key, forms):
                    raise
                return await self._call_in_weaker_forms(call, schema_key, forms[1:], refused, waits)
            if answer.finish_reason != UNUSABLE:
                self._learned.remember_success(schema_key, forms[0])
            return answer

    async def _call_in_weaker_forms(
        self, call: ModelCall, schema_key: bytes, forms: tuple[Form, ...], refused: RecordError, waits: Waits
    ) -> ModelAnswer:
        """Try weaker forms after a refusal that does not say what it is about. Raises `refused` where every form is
        refused."""
        for form in forms:
            try:
                accepted = self._learned.accepted((call.base_url, call.model))
                answer = await self._call_when_paced(call, form, accepted, waits)
            except RecordError:
                continue
            if answer.finish_reason != UNUSABLE:
                self._learned.remember_success(schema_key, form)
            return answer
        raise refused

    async def _call_when_paced(
        self, call: ModelCall, form: Form, accepted: AcceptedParameters, waits: Waits
    ) -> ModelAnswer:
        async with self._pace.turn(call, waits) as turn:
            try:
                async with self._breakers.guarding(_upstream(call.model, call.base_url), lambda: key_of(call)):
                    answer = await self._ask(call, form, accepted, turn)
                    if answer.finish_reason != UNUSABLE:
                        self._answered.add((call.base_url, call.model))
            except RateLimited as error:
                await turn.refused(error)
                raise
            turn.answered(answer)
            return answer

    async def _ask(self, call: ModelCall, form: Form, accepted: AcceptedParameters, turn: Turn) -> ModelAnswer:
        """Ask with the present credentials. Raises `CredentialReplaced` where they were refused and are others now."""
        references = references_of(call)
        await self._credentials.fetch(*references)
        access = resolve(call, self._credentials)
        try:
            return await self._ask_with(access, call, form, accepted, turn)
        except AccessRefused as error:
            await self._credentials.fetch_anew(*references)
            if resolve(call, self._credentials) == access:
                raise
            raise CredentialReplaced(f"{error} The credential was changed since.") from error

    async def _ask_with(
        self, access: Access, call: ModelCall, form: Form, accepted: AcceptedParameters, turn: Turn
    ) -> ModelAnswer:
        endpoint = _endpoint_reference(call.base_url, call.model, key_reference(call))
        limits = self._limits(call.timeout, call.concurrency)
        if call.provider in ADAPTED:
            adapted = await self._adapter(call.provider)
            known = (call.base_url, call.model) in self._answered
            return await adapted.ask(
                call, form, accepted, endpoint, access.base_url, access.key, limits, answered_before=known
            )
        wire = wire_for(call)
        started = self._clock.monotonic()
        try:
            response = await self._http.post(
                wire.url(access.base_url, call.model),
                {**_HEADERS, **wire.headers(access.key), **access.headers},
                wire.request_body(call, form, accepted),
                connect=limits.connect,
                read=limits.read,
                total=limits.total,
            )
        except InvalidRequest as error:
            raise PermanentError(f"{endpoint} cannot be asked: {error}.") from error
        except NoConnection as error:
            raise unreachable_error(endpoint, error, access.base_url) from error
        except TimeoutError as error:
            raise timeout_error(endpoint, limits) from error
        except (OSError, HTTPException) as error:
            if (call.base_url, call.model) in self._answered:
                raise interrupted_error(endpoint, error) from error
            raise unreachable_error(endpoint, error, access.base_url) from error
        latency = self._clock.monotonic() - started
        await turn.heard(response.headers)
        wait = retry_after_of(response.headers, self._clock.now())
        known = (call.base_url, call.model) in self._answered
        received = Received(response.body, call, endpoint, latency, wait, access.secrets, known)
        return answer_or_raise(wire, response.status, response.headers, received)

    async def _adapter(self, provider: str) -> AdaptedModels:
        """Return the client for providers that need the adapter library.

        The first call imports the library, which takes seconds. Raises `PermanentError` where it is not installed."""
        if self._adapted is None:
            made = await asyncio.to_thread(package.adapted_models, provider)
            self._adapted = self._adapted or made
        return self._adapted

    def _limits(self, timeout: float | None, concurrency: int | None) -> Limits:
        """Return the time limits of calls with these settings. A call's own timeout limits the whole call and every
        pause within it."""
        known = self._known_limits.get((timeout, concurrency))
        if known is None:
            settings = self._settings
            known = self._known_limits[timeout, concurrency] = Limits(
                connect=settings.connect_timeout,
                read=timeout or settings.read_timeout,
                total=timeout or settings.total_timeout,
                connections=concurrency or settings.concurrency,
            )
        return known


_endpoint_reference = lru_cache(maxsize=1000)(EndpointReference)


@lru_cache(maxsize=1000)
def _upstream(model: str, base_url: str) -> str:
    """Return the name of an endpoint's model in logs and breakers."""
    return f"model {model} at {redacted(base_url)}"


def _forms(call: ModelCall) -> tuple[Form, ...]:
    """Return the forms that a call's protocol has, strictest first."""
    if call.provider in ADAPTED:
        return (Form.PLAIN,) if call.schema is None else (Form.JSON_SCHEMA, Form.PLAIN)
    return wire_for(call).forms(call)


def _limits_of(call: ModelCall) -> tuple[str, ...]:
    """Return the names under which the endpoint may know the longest answer."""
    return ("max_tokens",) if call.provider in ADAPTED else wire_for(call).limits(call.base_url)
