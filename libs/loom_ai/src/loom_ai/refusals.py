"""What an answer that is no answer means: from an HTTP status to an error with place and remedy. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from loom_common.domain.urls import redacted
from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    RateLimited,
    RecordError,
    Timeout,
)

_TRANSIENT = frozenset({408, 409, 425, 429})
_BAD_KEY = b"API_KEY_INVALID"
"""Google's reason for a 400 that others answer with 401."""
_DELAY = re.compile(rb'"retryDelay":\s*"(\d+(?:\.\d+)?)s"')
"""Where Google says how long to wait, instead of in a header."""
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
class Place:
    """Which endpoint and model an error is about, as it may be shown."""

    base_url: str
    model: str
    key: str
    """The credential reference."""

    def __str__(self) -> str:
        return f"model {self.model} at {redacted(self.base_url)}"


def late(place: Place, limits: Limits) -> Timeout:
    """The error of a question that no answer came to within its limits."""
    return Timeout(
        f"{place} did not answer in time (connect {limits.connect:g} s, read {limits.read:g} s, {limits.total:g} s in "
        "all). Where it is only slow, give it more `timeout`, or ask less at once: `concurrency` of its provider."
    )


def unreachable(place: Place, error: Exception) -> DependencyUnavailable:
    """The error of a question that found no way to the endpoint."""
    return DependencyUnavailable(
        f"{place} cannot be reached ({type(error).__name__}). See that the server runs and `base_url` is right."
    )


def refusal(status: int, body: bytes, place: Place, retry_after: float | None = None) -> LoomError:
    """The error of a response whose status is not 200."""
    code, words = _said(body)
    said = f"HTTP {status}{f': {words}' if words else ''}"
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
    if status == 429:
        if retry_after is None and (delay := _DELAY.search(body)):
            retry_after = float(delay[1])
        return RateLimited(f"{place} asks to slow down ({said}).", retry_after=retry_after)
    if status in _TRANSIENT or status >= 500:
        return DependencyUnavailable(f"{place} is in trouble ({said}).", retry_after=retry_after)
    if status >= 400:
        return RecordError(
            f"{place} refused the request ({said})", code="model_refused", details={"status": status, "error": words}
        )
    return DependencyUnavailable(
        f"{place} answered with {said}. See that `base_url` is the provider's endpoint (it often ends in /v1)."
    )


def _said(body: bytes) -> tuple[str | None, str]:
    """The endpoint's error code and words, in whichever of the common forms they come."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, body[:_SHOWN].decode(errors="replace").strip()
    error = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(error, dict):
        return None, str(error)[:_SHOWN]
    words = error.get("message") or error.get("detail") or ""
    return error.get("code") or error.get("type"), str(words)[:_SHOWN]
