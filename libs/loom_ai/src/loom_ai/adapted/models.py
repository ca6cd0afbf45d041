"""Calls models through the adapter library, once per call. Retries, keys, limits and breakers are Loom's, as for all
providers."""

from __future__ import annotations

import asyncio
import datetime as dt
from time import perf_counter

from pydantic_ai.direct import model_request
from pydantic_ai.models import Model

from loom_ai.adapted import bedrock, cohere, turns
from loom_ai.adapted.package import ensure
from loom_ai.adapted.responses import Response
from loom_ai.adapted.sdk_models import OpenedModel, open_model
from loom_ai.http.http_errors import EndpointReference, Limits, interrupted_error, timeout_error, unreachable_error
from loom_ai.http.received import Received, answer_or_raise
from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.form import AcceptedParameters, Form, ResponseReader
from loom_common.errors import AccessRefused, LoomError, PermanentError
from loom_common.http.retry import retry_after_of

_READINGS: dict[str, ResponseReader] = {"bedrock": bedrock, "cohere": cohere}


class AdaptedModels:
    """Keeps the models that this process has opened. Each is opened at its first call."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str, str, str | None, Limits], OpenedModel] = {}
        self._opening = asyncio.Lock()

    async def ask(
        self,
        call: ModelCall,
        form: Form,
        accepted: AcceptedParameters,
        endpoint: EndpointReference,
        base_url: str,
        secret: str | None,
        limits: Limits,
        *,
        answered_before: bool = False,
    ) -> ModelAnswer:
        """Make one call and return its answer. `base_url` and `secret` are resolved. Raises as `ModelClient.complete`
        does."""
        opened = await self._open(call, base_url, secret, limits)
        response = Response()
        began = perf_counter()
        try:
            async with asyncio.timeout(limits.total):
                await self._send(opened.asking(response), call, form, accepted)
        except opened.expected as error:
            # The response is read below, whatever the library has made of it.
            if response.status is None:
                raise _trouble(error, opened, endpoint, limits) from error
        if response.status is None:
            raise PermanentError(f"{endpoint}: the provider's SDK asked in a way that Loom does not know.")
        wait = retry_after_of(response.headers, dt.datetime.now(dt.UTC))
        secrets = () if secret is None else (secret,)
        received = Received(response.body, call, endpoint, perf_counter() - began, wait, secrets, answered_before)
        return answer_or_raise(_READINGS[call.provider], response.status, response.headers, received)

    async def _send(self, model: Model, call: ModelCall, form: Form, accepted: AcceptedParameters) -> None:
        await model_request(
            model,
            turns.messages(call, form),
            model_settings=turns.settings(call, accepted),
            model_request_parameters=turns.parameters(call, form),
            instrument=False,
        )

    async def close(self) -> None:
        for opened in self._models.values():
            await opened.close()
        self._models.clear()

    async def _open(self, call: ModelCall, base_url: str, secret: str | None, limits: Limits) -> OpenedModel:
        key = (call.provider, base_url, call.model, secret, limits)
        async with self._opening:
            if key not in self._models:
                # This runs in a thread, because the SDKs read files, and take a while to import.
                self._models[key] = await asyncio.to_thread(_opened, call, base_url, secret, limits)
                _allow_threads(limits.connections)
            return self._models[key]


def _allow_threads(count: int) -> None:
    """Let so many calls be in flight where the SDK asks in threads: by default there are forty, for all models."""
    import anyio.to_thread

    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, count)


def _opened(call: ModelCall, base_url: str, secret: str | None, limits: Limits) -> OpenedModel:
    ensure(call.provider)
    return open_model(call.provider, call.model, base_url, secret, limits)


def _trouble(error: Exception, opened: OpenedModel, endpoint: EndpointReference, limits: Limits) -> LoomError:
    """Classify an SDK's error where no response came."""
    match error:
        case _ if isinstance(error, opened.timeouts):
            return timeout_error(endpoint, limits)
        case _ if isinstance(error, opened.no_access):
            return AccessRefused(
                f"{endpoint}: no credentials were found ({type(error).__name__}). Set {endpoint.key}, or what the "
                "provider's SDK looks for, where the worker runs."
            )
        case _ if isinstance(error, opened.unreachable):
            return unreachable_error(endpoint, error)
        case _ if isinstance(error, opened.broken):
            return interrupted_error(endpoint, error)
        case _ if isinstance(error, opened.misconfigured):
            return PermanentError(f"{endpoint}: {error}")
        case _:
            return interrupted_error(endpoint, error)
