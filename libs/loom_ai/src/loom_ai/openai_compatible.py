"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Azure, vLLM, Ollama, llama.cpp, Groq ...

One aiohttp session, because it is the cheapest client per call and its pool stays linear (design.md 11)."""

from __future__ import annotations

import random
from collections.abc import Callable

import aiohttp
import orjson

from loom_ai.chat import Form, answer_of, forms, request_body
from loom_ai.endpoints import OPENAI_KEY
from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.refusals import Place, refusal
from loom_ai.retry import RetryPolicy, delay_after, retry_after_of
from loom_ai.settings import ModelSettings
from loom_common.breakers import Breakers
from loom_common.credentials import Credentials
from loom_common.domain.urls import redacted
from loom_common.errors import (
    AccessRefused,
    BreakerOpen,
    DependencyUnavailable,
    MissingCredential,
    PermanentError,
    RecordError,
    Timeout,
    TransientError,
)
from loom_common.ports.clock import Clock, SystemClock

_IDLE_SECONDS = 30.0
"""How long an unused connection is kept."""


class OpenAICompatible:
    """A `ModelClient` with at most `settings.concurrency` connections."""

    def __init__(
        self,
        settings: ModelSettings | None = None,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        breakers: Breakers | None = None,
    ) -> None:
        self._settings = settings or ModelSettings()
        self._credentials = credentials or Credentials()
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._breakers = breakers or Breakers(clock=clock)
        self._policy = RetryPolicy(self._settings.attempts, self._settings.retry_delay, self._settings.retry_ceiling)
        self._forms: dict[bytes, tuple[Form, ...]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def complete(self, call: ModelCall) -> ModelAnswer:
        failed = 0
        while True:
            try:
                async with self._breakers.guarding(f"model {call.model} at {redacted(call.base_url)}"):
                    return await self._in_strongest_form(call)
            except BreakerOpen:
                raise
            except TransientError as error:
                failed += 1
                delay = delay_after(failed, self._policy, error.retry_after, self._jitter())
                if delay is None:
                    tries = "1 attempt" if failed == 1 else f"{failed} attempts"
                    raise type(error)(f"{error} Gave up after {tries}.", retry_after=error.retry_after) from error
            await self._clock.sleep(delay)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _in_strongest_form(self, call: ModelCall) -> ModelAnswer:
        """Until a form has worked, a refusal may be the form's fault: the next weaker one is tried. The one that
        worked is kept, per endpoint, model and schema, and from then on a refusal is the record's own."""
        schema_place = orjson.dumps([call.base_url, call.model, call.schema])
        candidates = self._forms.get(schema_place) or forms(call)
        for form in candidates[:-1]:
            try:
                answer = await self._ask(call, form)
            except RecordError:
                continue
            self._forms[schema_place] = (form,)
            return answer
        answer = await self._ask(call, candidates[-1])
        self._forms[schema_place] = candidates[-1:]
        return answer

    async def _ask(self, call: ModelCall, form: Form) -> ModelAnswer:
        place = Place(call.base_url, call.model, call.api_key or OPENAI_KEY)
        url, headers, secret = self._rim(call)
        started = self._clock.monotonic()
        try:
            async with self._connected().post(
                url, data=request_body(call, form), headers=headers, timeout=self._limits(call)
            ) as response:
                body = await response.read()
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise PermanentError(f"{place}: `base_url` is no http(s) address.") from error
        except TimeoutError as error:
            limits = self._limits(call)
            raise Timeout(
                f"{place} did not answer in time (connect {limits.sock_connect:g} s, read "
                f"{limits.sock_read:g} s, {limits.total:g} s in all)."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise DependencyUnavailable(
                f"{place} cannot be reached ({type(error).__name__}). See that the server runs and `base_url` is right."
            ) from error
        latency = self._clock.monotonic() - started
        if response.status == 200:
            try:
                return answer_of(body, call, latency)
            except ValueError:
                pass
        if secret:
            body = body.replace(secret.encode(), b"***")
        raise refusal(response.status, body, place, retry_after_of(response.headers, self._clock.now()))

    def _rim(self, call: ModelCall) -> tuple[str, dict[str, str], str | None]:
        """URL, headers and key with every reference resolved: the only place that sees a secret."""
        try:
            url = f"{self._credentials.expand(call.base_url, in_url=True).rstrip('/')}/chat/completions"
            secret = self._secret(call)
        except MissingCredential as error:
            raise AccessRefused(f"model {call.model}: {error}") from error
        headers = {"Content-Type": "application/json"}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        return url, headers, secret

    def _secret(self, call: ModelCall) -> str | None:
        if call.api_key is None and self._credentials.missing(OPENAI_KEY):
            return None
        return self._credentials.expand(call.api_key or OPENAI_KEY).strip()

    def _limits(self, call: ModelCall) -> aiohttp.ClientTimeout:
        """A limit of the call's own is one for all of it: how long it may be silent then follows."""
        settings = self._settings
        return aiohttp.ClientTimeout(
            total=call.timeout or settings.total_timeout,
            sock_connect=settings.connect_timeout,
            sock_read=call.timeout or settings.read_timeout,
        )

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.concurrency, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
