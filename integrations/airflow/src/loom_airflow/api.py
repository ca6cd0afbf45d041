"""Speaks to Loom's REST API. Knows nothing of Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx

PREFIX = "/api/v1"
LINEAGE_HEADERS = {"run": "OpenLineage-Parent-Id", "root": "OpenLineage-Root-Parent-Id"}
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""The answers after which the same request may be answered otherwise; so may any that has `Retry-After`."""
_LONGEST_WAIT = 30.0


class LoomApiError(Exception):
    """The API has refused a request. `status` is that of the answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class LoomApiAway(Exception):
    """The API was not reached, or it asks to come again."""

    def __init__(self, message: str, after: float = 1.0) -> None:
        super().__init__(message)
        self.after = after
        """Says in how many seconds to ask again."""


class LoomApi:
    """Represents the API at an address, for whoever has `token`. The token is sent as a header, and stands in no error
    and no log."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        verify: bool = True,
        transport: Any = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take `transport` and `sleep` in place of the network and the clock."""
        self._address = address.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._options: dict[str, Any] = {
            "base_url": self._address,
            "headers": {**headers, "User-Agent": "loom-pipelines-airflow"},
            "timeout": _TIMEOUT,
            "verify": verify,
            "transport": transport,
        }
        self._sleep = sleep

    def start(
        self,
        pipeline: str,
        options: Mapping[str, Any],
        key: str,
        *,
        lineage_parent: Mapping[str, str] | None = None,
        patience: float = 300.0,
    ) -> str:
        """Start a run, and return its id; where one was started by the same `key`, the id of that. `lineage_parent`
        names the task as `lineage.lineage_parent_of` does. An API that is away is asked for `patience` seconds. Raises
        `LoomApiError` and `LoomApiAway`."""
        named = {LINEAGE_HEADERS[part]: name for part, name in (lineage_parent or {}).items()}
        said = self._send(
            "POST",
            f"/pipelines/{quote(pipeline, safe='')}/run",
            patience,
            json=dict(options),
            headers={"Idempotency-Key": key, **named},
        )
        return str(said["run_id"])

    def pipeline(self, name: str, *, patience: float = 300.0) -> dict[str, Any]:
        """Return what is known of a pipeline. Raises as `start` does."""
        return self._send("GET", f"/pipelines/{quote(name, safe='')}", patience)

    def run(self, run_id: str, *, patience: float = 300.0) -> dict[str, Any]:
        """Return the report of a run, as far as it has come. Raises as `start` does."""
        return self._send("GET", _run(run_id), patience)

    def resume(self, run_id: str, *, patience: float = 300.0) -> str:
        """Go on with a run, and return its status. Raises as `start` does."""
        return str(self._send("POST", _run(run_id) + "/resume", patience)["status"])

    def cancel(self, run_id: str) -> None:
        """End a run; what it loaded stays. Raises as `start` does."""
        self._send("POST", _run(run_id) + "/cancel", 10.0)

    def newest(self, pipeline: str, since: str | None) -> dict[str, Any] | None:
        """Return the newest run of a pipeline that began at `since` or later; None without one."""
        query = {"pipeline": pipeline, "limit": "1", **({"since": since} if since else {})}
        found = self._send("GET", "/runs", 60.0, params=query)["items"]
        return found[0] if found else None

    def version(self) -> str:
        """Return the version of Loom that answers. Raises as `start` does."""
        return str(self._send("GET", "/openapi.json", 10.0)["info"]["version"])

    async def arun(self, run_id: str) -> dict[str, Any]:
        """Return the report of a run, for an event loop, and ask once. Raises as `start` does."""
        return await self._asend("GET", _run(run_id))

    async def acancel(self, run_id: str) -> None:
        """End a run, for an event loop. Raises as `start` does."""
        await self._asend("POST", _run(run_id) + "/cancel")

    def _send(self, method: str, path: str, patience: float, **said: Any) -> dict[str, Any]:
        deadline = time.monotonic() + patience
        with httpx.Client(**self._options) as client:
            while True:
                try:
                    return self._answer(client.request(method, PREFIX + path, **said))
                except httpx.TransportError as error:
                    away = self._away(error)
                except LoomApiAway as error:
                    away = error
                if time.monotonic() + away.after > deadline:
                    raise away
                self._sleep(away.after)

    async def _asend(self, method: str, path: str) -> dict[str, Any]:
        async with httpx.AsyncClient(**self._options) as client:
            try:
                return self._answer(await client.request(method, PREFIX + path))
            except httpx.TransportError as error:
                raise self._away(error) from error

    def _away(self, error: httpx.TransportError) -> LoomApiAway:
        return LoomApiAway(f"Loom's API at {self._address} was not reached: {error or type(error).__name__}.", 5.0)

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        if response.is_success:
            try:
                found = response.json()
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
            raise LoomApiError(f"{self._address} does not answer as Loom's API does.", response.status_code)
        words = _detail(response)
        if response.status_code in _AGAIN or "Retry-After" in response.headers:
            raise LoomApiAway(f"Loom's API at {self._address}: {words}", _after(response))
        if response.status_code in (401, 403):
            words += " The token is the password of the connection: `loom token create` makes one."
        raise LoomApiError(f"Loom's API at {self._address}: {words}", response.status_code)


def _run(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _detail(response: httpx.Response) -> str:
    """Return the sentence of a problem, with the mistakes that it lists."""
    try:
        said = response.json()
        words, mistakes = str(said["detail"] or said["title"]), [str(each["message"]) for each in said["errors"]]
        return " ".join([words, *(each for each in mistakes if each not in words)])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{response.status_code} {response.reason_phrase}"


def _after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", "")), 0.5), _LONGEST_WAIT)
    except ValueError:
        return 2.0
