"""Sends OpenLineage events to a collector over HTTP, and appends them to a file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from loom_common.config.credentials import Credentials
from loom_common.config.settings import OpenLineageSettings
from loom_common.errors import LoomError

SEND_SECONDS = 5.0
_USUAL_PATH = "/api/v1/lineage"


class Transport:
    """Tells events where the settings say: to a collector, a file, or both."""

    def __init__(self, settings: OpenLineageSettings, credentials: Credentials, project: Path) -> None:
        self._settings = settings
        self._credentials = credentials
        self._file = None if settings.file is None else project / settings.file.expanduser()

    async def send(self, event: dict[str, Any]) -> str | None:
        """Send an event. Return what is wrong where it was not taken."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                if self._file is not None:
                    await asyncio.to_thread(_append, self._file, orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
                return await self._post(event)
        except TimeoutError:
            return f"it took longer than {SEND_SECONDS:g} s"
        except OSError as error:
            return f"{self._file} cannot be written ({error.strerror or type(error).__name__})"
        except LoomError as error:
            return str(error)

    async def _post(self, event: dict[str, Any]) -> str | None:
        """Send an event to the collector, where there is one. Raises `LoomError` for a credential."""
        if not self._settings.url or not self._settings.url.get_secret_value():
            return None
        import aiohttp  # in the process that sends

        url, key = self._settings.url.get_secret_value(), self._settings.api_key
        texts = [url, *([key.get_secret_value()] if key is not None else [])]
        await self._credentials.fetch(*texts)
        address = address_of(self._credentials.expand(url, in_url=True))
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {self._credentials.expand(key.get_secret_value())}"
        place = urlsplit(address).hostname or "an address that is no URL"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(address, data=orjson.dumps(event), headers=headers, allow_redirects=False) as response,
            ):
                return f"the collector at {place} answered HTTP {response.status}" if response.status >= 300 else None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"the collector at {place} cannot be reached ({type(error).__name__})"


def address_of(url: str) -> str:
    """Return where events are posted: the URL, with the path that collectors usually have where it has none."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + _USUAL_PATH


def _append(file: Path, line: bytes) -> None:
    """Append a line by one write, so that lines of several processes do not mix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
