"""Asks models of providers that the adapter library speaks to: once per question. Whether and when to ask again, keys,
limits and breakers are Loom's, as for every other provider."""

from __future__ import annotations

import asyncio
import datetime as dt
from time import perf_counter

from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelHTTPError

from loom_ai.adapted import turns
from loom_ai.adapted.lines import Line, open_line
from loom_ai.adapter_package import ensure
from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.refusals import Limits, Place, late, refusal, unreachable
from loom_ai.retry import retry_after_of
from loom_ai.wire.form import Form, Manner
from loom_common.errors import AccessRefused, DependencyUnavailable, LoomError, PermanentError


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
        place: Place,
        base_url: str,
        secret: str | None,
        limits: Limits,
    ) -> ModelAnswer:
        """One question, one answer. `base_url` and `secret` are resolved. Raises as `ModelClient.complete` does."""
        line = await self._line(call, base_url, secret, limits)
        began = perf_counter()
        try:
            async with asyncio.timeout(limits.total):
                response = await model_request(
                    line.model,
                    turns.messages(call, form),
                    model_settings=turns.settings(call, manner),
                    model_request_parameters=turns.parameters(call, form),
                    instrument=False,
                )
                return turns.answer(response, call, perf_counter() - began)
        except line.late as error:
            raise late(place, limits) from error
        except ModelHTTPError as error:
            raise _refused(error, place, secret) from error
        except line.no_access as error:
            raise AccessRefused(
                f"{place}: no credentials were found ({type(error).__name__}). Set {place.key}, or what the provider's "
                "SDK looks for, where the worker runs."
            ) from error
        except line.away as error:
            raise unreachable(place, error) from error
        except line.wrong as error:
            raise PermanentError(f"{place}: {error}") from error
        except line.misread as error:
            raise DependencyUnavailable(
                f"{place} gave an answer that is none of its protocol ({type(error).__name__}). See that `base_url` is "
                "the provider's endpoint."
            ) from error

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
            return self._lines[key]


def _opened(call: ModelCall, base_url: str, secret: str | None, limits: Limits) -> Line:
    ensure(call.provider)
    return open_line(call.provider, call.model, base_url, secret, limits)


def _refused(error: ModelHTTPError, place: Place, secret: str | None) -> LoomError:
    body = turns.body_of(error.body)
    if secret:
        body = body.replace(secret.encode(), b"***")
    wait = retry_after_of(turns.headers_of(error.__cause__), dt.datetime.now(dt.UTC))
    return refusal(error.status_code, body, place, wait)
