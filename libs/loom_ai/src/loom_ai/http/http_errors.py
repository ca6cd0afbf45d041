"""What an answer that is no answer means: from an HTTP status to an error with place and remedy. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from loom_ai.http.connection_errors import cause_of
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

_TRANSIENT = frozenset({408, 409, 425, 429})
_BAD_KEY = b"API_KEY_INVALID"
"""Google's reason for a 400 that others answer with 401."""
_WANTS_TLS = (b"plain HTTP request was sent to HTTPS port", b"sent an HTTP request to an HTTPS server")
"""What nginx and what is written in Go say to a question that came without TLS."""
_DELAY = re.compile(rb'"retryDelay":\s*"(\d+(?:\.\d+)?)s"')
"""Where Google says how long to wait, instead of in a header."""
REFUSED = "model_refused"
"""The code of a question that its endpoint will not take."""
LONGEST_WAIT = 86_400.0
"""Seconds. Who asks to wait longer is not taken at their word."""
_NAME = 100
_SHOWN = 300
"""Characters of the endpoint's own words that stand in an error."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may take, in seconds."""

    connect: float
    read: float
    total: float
    connections: int
    """Open at once, at most."""


@dataclass(frozen=True, slots=True)
class EndpointReference:
    """Which endpoint and model an error is about, as it may be shown."""

    base_url: str
    model: str
    key: str
    """The credential reference."""

    def __str__(self) -> str:
        return f"model {self.model} at {redacted(self.base_url)}"


def late(place: EndpointReference, limits: Limits) -> Timeout:
    """The error of a question that no answer came to within its limits."""
    return Timeout(
        f"{place} did not answer in time (connect {limits.connect:g} s, read {limits.read:g} s, {limits.total:g} s in "
        "all). Where it is only slow, give it more `timeout`, or ask less at once: `concurrency` of its provider."
    )


def unreachable(place: EndpointReference, error: Exception, url: str = "") -> DependencyUnavailable:
    """The error of a question that found no way to the endpoint, whose address is `url`."""
    cause = cause_of(error, url) if url else type(error).__name__
    return DependencyUnavailable(
        f"{place} cannot be reached ({cause}). See that the server runs and `base_url` is right."
    )


def broken_off(place: EndpointReference, error: Exception) -> UpstreamTroubled:
    """The error of a question whose answer began and did not come whole, or was no HTTP."""
    return UpstreamTroubled(f"{place} broke off its answer, or sent what is no HTTP ({type(error).__name__}).")


def refusal(
    status: int, body: bytes, place: EndpointReference, retry_after: float | None = None, *, inside: bool = False
) -> LoomError:
    """The error of a response whose status is not 2xx; or which is 200 and has the error of that status `inside`."""
    code, param, words = _said(body)
    said = f"HTTP {f'200 with an error {status} inside' if inside else status}{f': {words}' if words else ''}"
    if status in (401, 403) or (status == 400 and _BAD_KEY in body):
        # The endpoint's words are left out: some repeat the key.
        return AccessRefused(
            f"{place} refused access (HTTP {status}). Set the credential {place.key} to a key that may use this "
            "model, where the worker runs; or name another with `api_key`."
        )
    if status == 402 or code == "insufficient_quota":
        return PermanentError(f"{place}: the account has no quota left ({said}). Add credit, then resume the run.")
    if status == 404:
        return PermanentError(f"{place} is not there ({said}). Check `model` and `base_url` (it often ends in /v1).")
    if status == 400 and any(words in body for words in _WANTS_TLS):
        return PermanentError(f"{place} wants TLS ({said}). Write https:// instead of http:// in `base_url`.")
    if status == 429:
        if retry_after is None and (delay := _DELAY.search(body)):
            retry_after = min(LONGEST_WAIT, float(delay[1]))
        return RateLimited(f"{place} asks to slow down ({said}).", retry_after=retry_after)
    if inside and status >= 500:
        return RateLimited(f"{place} is overloaded ({said}).", retry_after=retry_after)
    if status in _TRANSIENT or status >= 500:
        return UpstreamTroubled(f"{place} is in trouble ({said}).", retry_after=retry_after)
    return own_fault(status, place, said, words, param)


def own_fault(status: int, place: EndpointReference, said: str, words: str, param: str = "") -> RecordError:
    """The error of a question that the endpoint will not take, whoever asks it again."""
    details = {"status": status, "error": words, **({"param": param} if param else {})}
    return RecordError(f"{place} refused the request ({said})", code=REFUSED, details=details)


def for_this_record(error: LoomError, status: int, place: EndpointReference, body: bytes) -> LoomError:
    """The error where the endpoint has answered others before: what looks like a wrong address or a missing permission
    is about this question alone then."""
    if status not in (403, 404):
        return error
    _, param, words = _said(body) if status == 404 else (None, "", "")
    return own_fault(status, place, f"HTTP {status}{f': {words}' if words else ''}", words, param)


def _said(body: bytes) -> tuple[str | None, str, str]:
    """The endpoint's error code, the parameter that it is about, and its words, in whichever of the common forms they
    come."""
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
    """The beginning of a body as text that every store takes."""
    return whole_text(data[: 4 * characters].decode("utf-8", "replace")).replace("\x00", "\ufffd")[:characters]
