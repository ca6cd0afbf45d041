"""Translates the errors of BigQuery by their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_common.errors import AccessRefused, Conflict, DependencyUnavailable, LoomError, PermanentError
from loom_common.errors import Timeout as LateError
from loom_connectors.bigquery.address import Address
from loom_connectors.sql.parameters import see_timeouts

_PASSING = (
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "rateLimitExceeded",
    "quotaExceeded",
)
_LATE = ("stopped", "timeout", "jobTimeout")
ENTERED = "loom: entered before"
"""Is what a transaction says that finds its batches in the ledger, because another one was quicker."""


class BigQueryError(Exception):
    """Reports what BigQuery refused."""

    def __init__(self, status: int, reason: str, words: str) -> None:
        self.status = status
        self.reason = reason
        self.words = " ".join(words.split()).rstrip(".")
        super().__init__(self.words)


def meaning(error: BigQueryError, address: Address, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of BigQuery is to Loom, by its reason."""
    words, place = error.words, address.shown
    if is_conflict(error):
        return Conflict(f"{place}: {words}.")
    if error.reason in _LATE:
        return LateError(f"{place}: {words}. {see_timeouts(trouble)}")
    if error.reason in _PASSING or error.status in (0, 429) or error.status >= 500:
        return DependencyUnavailable(f"{place}: {words}.")
    if error.status in (401, 403) or error.reason == "accessDenied":
        return AccessRefused(f"{place}: {words}. Check the service account, and what it is granted.")
    if error.status == 404 or error.reason == "notFound":
        return trouble(f"{place}: {words}. Correct the name, or grant what is needed to see it.")
    return trouble(f"{place}: {words}.")


def is_conflict(error: BigQueryError) -> bool:
    """Tell whether another transaction was in the way, so that the same work may succeed at once."""
    return ENTERED in error.words or "concurrent update" in error.words or error.reason == "aborted"


def error_in(status: int, found: Mapping[str, Any]) -> BigQueryError:
    """Return the error of an answer that says there is one, by its status and its body."""
    said = found.get("error")
    said = said if isinstance(said, dict) else {}
    first: Mapping[str, Any] = next(iter(said.get("errors") or ()), {})
    return BigQueryError(status, str(first.get("reason", "")), str(said.get("message") or f"HTTP status {status}"))


def see_error(result: Mapping[str, Any] | None) -> None:
    """Raise `BigQueryError` where a job says that it failed."""
    if result:
        status = 404 if result.get("reason") == "notFound" else 400
        raise BigQueryError(status, str(result.get("reason", "")), str(result.get("message", "")))
