"""Asks models of providers that the adapter library speaks to: once per question. Whether and when to ask again, keys,
limits and breakers are Loom's, as for every other provider."""

from __future__ import annotations

import asyncio
import datetime as dt
from time import perf_counter

from pydantic_ai.direct import model_request

from loom_ai.adapted import bedrock, cohere, responses, turns
from loom_ai.adapted.lines import Line, open_line
from loom_ai.adapted.package import ensure
from loom_ai.adapted.responses import Response
from loom_ai.http.http_errors import EndpointReference, Limits, broken_off, late, unreachable
from loom_ai.http.received import Received, meant
from loom_ai.pacing.retry import retry_after_of
from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.form import Form, Manner, Reading
from loom_common.errors import AccessRefused, LoomError, PermanentError

_READINGS: dict[str, Reading] = {"bedrock": bedrock, "cohere": cohere}


class AdaptedModels:
    """Of one process. A line to a model is opened at its first question."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str, str | None, Limits], Line] = {}
        self._opening = asyncio.Lock()

    async def ask(
        self,
        call: ModelCall,
        form: Form,
        manner: Manner,
        place: EndpointReference,
        base_url: str,
        secret: str | None,
        limits: Limits,
        *,
        answered_before: bool = False,
    ) -> ModelAnswer:
        """One question, one answer. `base_url` and `secret` are resolved. Raises as `ModelClient.complete` does."""
        line = await self._line(call, base_url, secret, limits)
        response = Response()
        token = responses.current.set(response)
        began = perf_counter()
        try:
            async with asyncio.timeout(limits.total):
                await self._put(line, call, form, manner)
        except line.foreseen as error:
            # Whatever the library made of a response that came: it is read below.
            if response.status is None:
                raise _trouble(error, line, place, limits) from error
        finally:
            responses.current.reset(token)
        if response.status is None:
            raise PermanentError(f"{place}: the provider's SDK asked in a way that Loom does not know.")
        wait = retry_after_of(response.headers, dt.datetime.now(dt.UTC))
        secrets = () if secret is None else (secret,)
        received = Received(response.body, call, place, perf_counter() - began, wait, secrets, answered_before)
        return meant(_READINGS[call.provider], response.status, response.headers, received)

    async def _put(self, line: Line, call: ModelCall, form: Form, manner: Manner) -> None:
        await model_request(
            line.model,
            turns.messages(call, form),
            model_settings=turns.settings(call, manner),
            model_request_parameters=turns.parameters(call, form),
            instrument=False,
        )

    async def close(self) -> None:
        for line in self._lines.values():
            await line.close()
        self._lines.clear()

    async def _line(self, call: ModelCall, base_url: str, secret: str | None, limits: Limits) -> Line:
        key = (call.provider, base_url, call.model, secret, limits)
        async with self._opening:
            if key not in self._lines:
                # In a thread: the SDKs read files, and take a while to import.
                self._lines[key] = await asyncio.to_thread(_opened, call, base_url, secret, limits)
                _allow_threads(limits.connections)
            return self._lines[key]


def _allow_threads(count: int) -> None:
    """Let so many calls be in flight where the SDK asks in threads: by default there are forty, for all models."""
    import anyio.to_thread

    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, count)


def _opened(call: ModelCall, base_url: str, secret: str | None, limits: Limits) -> Line:
    ensure(call.provider)
    return open_line(call.provider, call.model, base_url, secret, limits)


def _trouble(error: Exception, line: Line, place: EndpointReference, limits: Limits) -> LoomError:
    """What an error of the SDK means where no response came."""
    match error:
        case _ if isinstance(error, line.late):
            return late(place, limits)
        case _ if isinstance(error, line.no_access):
            return AccessRefused(
                f"{place}: no credentials were found ({type(error).__name__}). Set {place.key}, or what the provider's "
                "SDK looks for, where the worker runs."
            )
        case _ if isinstance(error, line.away):
            return unreachable(place, error)
        case _ if isinstance(error, line.broken):
            return broken_off(place, error)
        case _ if isinstance(error, line.wrong):
            return PermanentError(f"{place}: {error}")
        case _:
            return broken_off(place, error)
