"""Turns HTTP statuses and failed connections into Loom's errors, which name the endpoint and the remedy. It does no
I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from loom_ai.wire.document import NoAnswer, parsed, whole_text
from loom_common.domain.values.urls import redacted
from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    RateLimited,
    RecordError,
    Timeout,
    UpstreamTroubled,
)
from loom_common.http.connection_errors import cause_of

_TRANSIENT = frozenset({408, 409, 425, 429})
_BAD_KEY = b"API_KEY_INVALID"
"""Google's reason for answering an invalid key with 400 instead of 401."""
_WANTS_TLS = (b"plain HTTP request was sent to HTTPS port", b"sent an HTTP request to an HTTPS server")
"""Says what nginx, and servers written in Go, answer to a plain HTTP request on a TLS port."""
_DELAY = re.compile(rb'"retryDelay":\s*"(\d+(?:\.\d+)?)s"')
"""Finds Google's `retryDelay`, which stands in the body instead of a `Retry-After` header."""
REFUSED = "model_refused"
"""The error code of a record whose request the endpoint refused."""
LONGEST_WAIT = 86_400.0
"""The longest `Retry-After` that is obeyed, in seconds."""
_NAME = 100
_SHOWN = 300
"""The most characters of the endpoint's message that an error quotes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Holds the time limits of one request, in seconds."""

    connect: float
    read: float
    total: float
    connections: int
    """The most connections that are open at once."""


@dataclass(frozen=True, slots=True)
class EndpointReference:
    """Names the endpoint and model in an error."""

    base_url: str
    model: str
    key: str
    """The credential reference, which is shown instead of the key."""

    def __str__(self) -> str:
        return f"model {self.model} at {redacted(self.base_url)}"


def timeout_error(endpoint: EndpointReference, limits: Limits) -> Timeout:
    """Return the error of a request that was not answered within its limits."""
    return Timeout(
        f"{endpoint} did not answer in time (connect {limits.connect:g} s, read {limits.read:g} s, {limits.total:g} s "
        "in all). Where it is only slow, give it more `timeout`, or ask less at once: `concurrency` of its provider."
    )


def unreachable_error(endpoint: EndpointReference, error: Exception, url: str = "") -> DependencyUnavailable:
    """Return the error of a request whose connection to `url` failed."""
    cause = cause_of(error, url) if url else type(error).__name__
    return DependencyUnavailable(
        f"{endpoint} cannot be reached ({cause}). See that the server runs and `base_url` is right."
    )


def interrupted_error(endpoint: EndpointReference, error: Exception) -> UpstreamTroubled:
    """Return the error of a response that ended early or was not HTTP."""
    return UpstreamTroubled(f"{endpoint} broke off its answer, or sent what is no HTTP ({type(error).__name__}).")


def refusal(
    status: int, body: bytes, endpoint: EndpointReference, retry_after: float | None = None, *, inside: bool = False
) -> LoomError:
    """Return the error that a response means.

    Either the response's status is not 2xx, or it is 200 and the body holds an error of this `status` (`inside`)."""
    code, param, words = _said(body)
    said = f"HTTP {f'200 with an error {status} inside' if inside else status}{f': {words}' if words else ''}"
    if status in (401, 403) or (status == 400 and _BAD_KEY in body):
        # The endpoint's message is left out, because some endpoints repeat the key in it.
        return AccessRefused(
            f"{endpoint} refused access (HTTP {status}). Set the credential {endpoint.key} to a key that may use this "
            "model, where the worker runs; or name another with `api_key`."
        )
    if status == 402 or code == "insufficient_quota":
        return PermanentError(f"{endpoint}: the account has no quota left ({said}). Add credit, then resume the run.")
    if status == 404:
        return PermanentError(f"{endpoint} is not there ({said}). Check `model` and `base_url` (it often ends in /v1).")
    if status == 400 and any(words in body for words in _WANTS_TLS):
        return PermanentError(f"{endpoint} wants TLS ({said}). Write https:// instead of http:// in `base_url`.")
    if status == 429:
        if retry_after is None and (delay := _DELAY.search(body)):
            retry_after = min(LONGEST_WAIT, float(delay[1]))
        return RateLimited(f"{endpoint} asks to slow down ({said}).", retry_after=retry_after)
    if inside and status >= 500:
        return RateLimited(f"{endpoint} is overloaded ({said}).", retry_after=retry_after)
    if status in _TRANSIENT or status >= 500:
        return UpstreamTroubled(f"{endpoint} is in trouble ({said}).", retry_after=retry_after)
    return refused_request(status, endpoint, said, words, param)


def refused_request(status: int, endpoint: EndpointReference, said: str, words: str, param: str = "") -> RecordError:
    """The error of a request that the endpoint will not accept however often it is sent."""
    details = {"status": status, "error": words, **({"param": param} if param else {})}
    return RecordError(f"{endpoint} refused the request ({said})", code=REFUSED, details=details)


def error_of_this_call(error: LoomError, status: int, endpoint: EndpointReference, body: bytes) -> LoomError:
    """Return the error of an endpoint that has answered other requests before.

    There, a 403 or 404 is about this request alone, and not about a wrong address or a missing permission."""
    if status not in (403, 404):
        return error
    _, param, words = _said(body) if status == 404 else (None, "", "")
    return refused_request(status, endpoint, f"HTTP {status}{f': {words}' if words else ''}", words, param)


def _said(body: bytes) -> tuple[str | None, str, str]:
    """Return the error code, the parameter and the message in an error response, whichever of the common shapes it
    has."""
    try:
        document: Any = parsed(body)
    except NoAnswer:
        return None, "", shown(body, _SHOWN).strip()
    error = document[0] if isinstance(document, list) and document else document
    for name in ("error", "errors"):
        if isinstance(error, dict) and error.get(name):
            error = error[name]
            error = error[0] if isinstance(error, list) and error else error
    if isinstance(error, str):
        return None, "", shown(error.encode(), _SHOWN)
    if not isinstance(error, dict):
        return None, "", shown(body, _SHOWN).strip()
    texts = (error.get(name) for name in ("message", "detail", "error", "title", "reason"))
    words = next((each for each in texts if isinstance(each, str) and each), None)
    if words is None:
        words = "" if not error else shown(body, _SHOWN)
    code, param = error.get("code") or error.get("type"), error.get("param")
    return (
        code if isinstance(code, str) else None,
        shown(param.encode(), _NAME) if isinstance(param, str) else "",
        shown(words.encode(), _SHOWN),
    )


def shown(data: bytes, characters: int) -> str:
    """Return the beginning of a body as text that every database accepts."""
    return whole_text(data[: 4 * characters].decode("utf-8", "replace")).replace("\x00", "\ufffd")[:characters]
