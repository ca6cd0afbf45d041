"""Asks BigQuery's REST API, and translates its errors by their reasons.

A statement is a job with an id of its own, so that a request whose answer was lost may be sent again: it finds the job
that is there, and starts no second one."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import google.auth
import urllib3
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.urllib3 import AuthorizedHttp
from google.oauth2 import service_account

from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    Conflict,
    DependencyUnavailable,
    LoomError,
    PermanentError,
)
from loom_common.errors import Timeout as LateError
from loom_connectors.bigquery.address import Address
from loom_connectors.sql.parameters import Timeouts, see_timeouts

_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
_TRIES = 3
_POLL_SECONDS = 10.0
_PAGE = 10_000
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


@dataclass(frozen=True, slots=True)
class Column:
    """Describes a column of a table or of a query."""

    name: str
    type: str
    """Holds the type as SQL writes it: `STRING(5)`, `NUMERIC(10, 2)`; `ARRAY` and `STRUCT` without what is in them."""
    required: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Holds what a statement gave."""

    rows: Sequence[Sequence[Any]]
    columns: Sequence[Column]


class Server:
    """Represents one dataset. It keeps connections, and may be asked from several threads."""

    def __init__(self, address: Address, timeouts: Timeouts, trouble: type[PermanentError]) -> None:
        """`trouble` is raised for what is wrong with the dataset as a source or as a destination."""
        self.address = address
        self.timeouts = timeouts
        self.trouble_is = trouble
        self._pool = urllib3.PoolManager(maxsize=8, block=False, retries=False)
        self._http: Any = None

    def run(self, sql: str, values: Sequence[object] = (), *, seconds: float, dry: bool = False) -> Answer:
        """Run a statement, or a script, within so many seconds. With `dry` it only says which columns a query has.
        Raises `BigQueryError`, and errors of Loom."""
        until = time.monotonic() + seconds
        job = {"projectId": self.address.project, "jobId": f"loom_{uuid4().hex}"}
        if self.address.location is not None:
            job["location"] = self.address.location
        dataset = {"projectId": self.address.project, "datasetId": self.address.dataset}
        query = {
            "query": sql,
            "useLegacySql": False,
            "parameterMode": "NAMED",
            "defaultDataset": dataset,
            "queryParameters": [_parameter(f"loom_{at}", value) for at, value in enumerate(values, 1)],
        }
        configuration = {"query": query, "dryRun": dry, "jobTimeoutMs": str(int(seconds * 1000))}
        made = self._asked("POST", "jobs", {"jobReference": job, "configuration": configuration}, until=until)
        _see_error(made.get("status", {}).get("errorResult"))
        if dry:
            return Answer((), _columns(made["statistics"]["query"].get("schema")))
        return self._result({**job, **made.get("jobReference", {})}, until)

    def table(self, dataset: str | None, name: str) -> Sequence[Column] | None:
        """Return the columns of a table; None where there is none."""
        place = f"datasets/{quote(dataset or self.address.dataset, safe='')}/tables/{quote(name, safe='')}"
        try:
            found = self._asked("GET", place, until=time.monotonic() + self.timeouts.query)
        except BigQueryError as error:
            if error.status != 404:
                raise
            return None
        return _columns(found.get("schema"))

    def see_dataset(self) -> None:
        """Raise `BigQueryError` where the dataset is not there, or not to be seen."""
        self._asked("GET", f"datasets/{self.address.dataset}", until=time.monotonic() + self.timeouts.query)

    def close(self) -> None:
        self._pool.clear()

    def _result(self, job: Mapping[str, str], until: float) -> Answer:
        rows: list[Sequence[Any]] = []
        token: str | None = None
        columns: Sequence[Column] | None = None
        while True:
            left = until - time.monotonic()
            if left <= 0:
                self._asked("POST", f"jobs/{job['jobId']}/cancel{_query(job)}", {}, until=time.monotonic() + 5)
                raise BigQueryError(0, "timeout", "it took too long")
            asked = {"timeoutMs": str(int(min(left, _POLL_SECONDS) * 1000)), "maxResults": str(_PAGE)}
            asked |= {} if token is None else {"pageToken": token}
            found = self._asked("GET", f"queries/{job['jobId']}{_query(job, asked)}", until=until + _POLL_SECONDS)
            if not found.get("jobComplete", True):
                continue
            columns = columns or _columns(found.get("schema"))
            rows += [_values(row, columns) for row in found.get("rows", ())]
            token = found.get("pageToken")
            if not token:
                return Answer(rows, columns)

    def _asked(self, method: str, place: str, body: Any = None, *, until: float) -> dict[str, Any]:
        """Send a request, again where its answer was lost. Raises `BigQueryError`, and errors of Loom."""
        url = f"{self.address.endpoint}/bigquery/v2/projects/{quote(self.address.project, safe='')}/{place}"
        sent = None if body is None else json.dumps(body).encode()
        for last in (*[False] * (_TRIES - 1), True):
            timeout = urllib3.Timeout(connect=self.timeouts.connect, read=max(1.0, until - time.monotonic()))
            try:
                answer = self._client().request(
                    method, url, body=sent, headers={"Content-Type": "application/json"}, timeout=timeout, retries=False
                )
            except GoogleAuthError as error:
                raise self._refused(error) from error
            except urllib3.exceptions.HTTPError as error:
                if last:
                    raise DependencyUnavailable(
                        f"{self.address.shown} cannot be reached: {type(error).__name__}."
                    ) from error
                continue
            found = _read(answer)
            if answer.status < 400:
                return found
            if answer.status == 409 and place == "jobs":  # the request before this one has reached it
                return {"jobReference": body["jobReference"]}
            if answer.status < 500 or last:
                raise _error(answer.status, found)
        raise AssertionError("the last try returns or raises")

    def _client(self) -> Any:
        if self._http is None:
            authorized: Any = AuthorizedHttp  # google-auth has types in part
            self._http = authorized(self._credentials(), self._pool) if self.address.is_google else self._pool
        return self._http

    def _credentials(self) -> Any:
        address = self.address
        keys: Any = service_account.Credentials
        try:
            if address.credentials is not None:
                return keys.from_service_account_info(json.loads(address.credentials), scopes=_SCOPES)
            if address.credentials_file is not None:
                return keys.from_service_account_file(address.credentials_file, scopes=_SCOPES)
            return google.auth.default(scopes=_SCOPES)[0]
        except GoogleAuthError as error:
            raise self._refused(error) from error
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{address.shown}: its credentials cannot be used: {type(error).__name__}. They have to be the key of "
                "a service account, in JSON: `credentials=${KEY}` or `credentials_file=...` in the URL."
            ) from None

    def _refused(self, error: Exception) -> AccessRefused:
        return AccessRefused(
            f"{self.address.shown}: Google gives no access with these credentials ({type(error).__name__}). Name the "
            "key of a service account (`credentials=${KEY}` in the URL), or run `gcloud auth application-default "
            "login`."
        )


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


def _parameter(name: str, value: object) -> dict[str, Any]:
    match value:
        case bool():
            kind, text = "BOOL", "true" if value else "false"
        case int():
            kind, text = "INT64", str(value)
        case float():
            kind, text = "FLOAT64", repr(value)
        case Decimal():
            kind, text = "BIGNUMERIC", str(value)
        case dt.datetime():
            kind, text = "DATETIME" if value.tzinfo is None else "TIMESTAMP", value.isoformat(" ")
        case dt.date():
            kind, text = "DATE", value.isoformat()
        case _:
            kind, text = "STRING", str(value)
    return {"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": text}}


_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def _columns(schema: Mapping[str, Any] | None) -> Sequence[Column]:
    return [
        Column(str(each["name"]), _type(each), str(each.get("mode")) == "REQUIRED")
        for each in (schema or {}).get("fields", ())
    ]


def _type(field: Mapping[str, Any]) -> str:
    if field.get("mode") == "REPEATED":
        return "ARRAY"
    name = _SQL_NAMES.get(field["type"], field["type"])
    if field.get("maxLength"):
        return f"{name}({field['maxLength']})"
    if field.get("precision"):
        return f"{name}({field['precision']}, {field.get('scale') or 0})"
    return str(name)


def _values(row: Mapping[str, Any], columns: Sequence[Column]) -> Sequence[Any]:
    return [_value(cell["v"], column.type) for cell, column in zip(row["f"], columns, strict=True)]


def _value(value: Any, kind: str) -> Any:
    """Return a value of an answer, where all are texts."""
    if value is None:
        return None
    match kind:
        case "INT64":
            return int(value)
        case "FLOAT64":
            return float(value)
        case "BOOL":
            return str(value).lower() == "true"
        case _:
            return value


def _query(job: Mapping[str, str], more: Mapping[str, str] | None = None) -> str:
    given = {**(more or {}), **({"location": job["location"]} if "location" in job else {})}
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items()) if given else ""


def _read(answer: Any) -> dict[str, Any]:
    try:
        found = json.loads(answer.data or b"{}")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _error(status: int, found: Mapping[str, Any]) -> BigQueryError:
    said = found.get("error")
    said = said if isinstance(said, dict) else {}
    first: Mapping[str, Any] = next(iter(said.get("errors") or ()), {})
    return BigQueryError(status, str(first.get("reason", "")), str(said.get("message") or f"HTTP status {status}"))


def _see_error(result: Mapping[str, Any] | None) -> None:
    if result:
        status = 404 if result.get("reason") == "notFound" else 400
        raise BigQueryError(status, str(result.get("reason", "")), str(result.get("message", "")))
