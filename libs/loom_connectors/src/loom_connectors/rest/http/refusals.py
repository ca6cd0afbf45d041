"""Turns what a server answers, or that it does not, into Loom's errors: what may be tried again, and what may not."""

from __future__ import annotations

import aiohttp

from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    RateLimited,
    Timeout,
    UpstreamTroubled,
)
from loom_common.http.connection_errors import cause_of
from loom_connectors.rest.http.answer import Answer
from loom_connectors.rest.http.options import RestTimeouts
from loom_connectors.rest.http.pacing import exhausted

_AWAY = frozenset({502, 503, 504})
_NOT_IMPLEMENTED = 501


def refusal(answer: Answer, place: str, section: str, error: type[PermanentError]) -> LoomError | None:
    """Return the error of an answer that ends the run, or that passes and is tried again. Return None for success, and
    for what may be the fault of the request alone. `section` is `extract` or `load`."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status == 429 or (status in (403, 503) and answer.pause is not None and exhausted(answer.headers)):
        return RateLimited(f"{place}: the server asks to slow down ({_said(answer)}).", retry_after=answer.pause)
    if status in _AWAY:
        return DependencyUnavailable(f"{place}: the server answered {_said(answer)}.", retry_after=answer.pause)
    if status in (408, 425) or (status >= 500 and status != _NOT_IMPLEMENTED):
        return UpstreamTroubled(f"{place}: the server answered {_said(answer)}.", retry_after=answer.pause)
    if status in (401, 403, 407):
        return AccessRefused(
            f"{place}: the server refused access ({_said(answer)}). See `{section}.options.auth`, and what its "
            "credential may do."
        )
    if 300 <= status < 400:
        return error(f"{place}: the server answered with the redirection {status}, which leads to no address.")
    return None


def unanswered(failure: Exception, url: str, place: str, limits: RestTimeouts) -> LoomError:
    """Return the error of a request without a whole answer."""
    if isinstance(failure, TimeoutError) and not isinstance(failure, aiohttp.ConnectionTimeoutError):
        return Timeout(
            f"{place} did not answer in time (read {limits.read:g} s, {limits.total:g} s in all). Where it is only "
            "slow, raise `options.timeouts`."
        )
    if isinstance(failure, aiohttp.ClientPayloadError):
        return UpstreamTroubled(f"{place} broke off its answer.")
    return DependencyUnavailable(f"{place} cannot be reached ({cause_of(failure, url)}).")


def _said(answer: Answer) -> str:
    return f"{answer.status}{f': {answer.words}' if answer.words else ''}"
