"""Asks BigQuery's REST API.

A statement is a job with an id of its own, so that a request whose answer was lost may be sent again: it finds the job
that is there, and starts no second one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import google.auth
import urllib3
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.urllib3 import AuthorizedHttp
from google.oauth2 import service_account

from loom_common.errors import AccessRefused, ConfigurationError, DependencyUnavailable, PermanentError
from loom_connectors.bigquery.address import Address
from loom_connectors.bigquery.answers import Answer, Column, body_of, columns_in, parameter, values_of
from loom_connectors.bigquery.errors import BigQueryError, error_in, see_error
from loom_connectors.sql.parameters import Timeouts

_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
_TRIES = 3
_POLL_SECONDS = 10.0
_PAGE = 10_000


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
            "queryParameters": [parameter(f"loom_{at}", value) for at, value in enumerate(values, 1)],
        }
        configuration = {"query": query, "dryRun": dry, "jobTimeoutMs": str(int(seconds * 1000))}
        made = self._asked("POST", "jobs", {"jobReference": job, "configuration": configuration}, until=until)
        see_error(made.get("status", {}).get("errorResult"))
        if dry:
            return Answer((), columns_in(made["statistics"]["query"].get("schema")))
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
        return columns_in(found.get("schema"))

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
            columns = columns or columns_in(found.get("schema"))
            rows += [values_of(row, columns) for row in found.get("rows", ())]
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
            found = body_of(answer)
            if answer.status < 400:
                return found
            if answer.status == 409 and place == "jobs":  # the request before this one has reached it
                return {"jobReference": body["jobReference"]}
            if answer.status < 500 or last:
                raise error_in(answer.status, found)
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


def _query(job: Mapping[str, str], more: Mapping[str, str] | None = None) -> str:
    given = {**(more or {}), **({"location": job["location"]} if "location" in job else {})}
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items()) if given else ""
