"""Implements files of web servers, `https://host/path`, as a `Storage` that can only be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError
from loom_connectors.files.storage import FileState, Opened, StoredFile
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.storage.web.requests import WebClient, web_trouble


@dataclass(frozen=True, slots=True)
class WebFile:
    """Represents a file of a web server. Its representation holds no secret."""

    client: WebClient = field(repr=False)
    shown: str

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.shown).path.rpartition("/")[2])

    def state(self) -> FileState | None:
        return self.client.state()

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        with self.client.opened() as opened:
            yield opened


class WebInputs:
    """Represents the one file that a URL names."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname:
            raise ConfigurationError(f"'{redacted(url)}': expected {parts.scheme}://host/path.")
        self._file = WebFile(WebClient(url), redacted(url))

    @property
    def place(self) -> str:
        return self._file.shown

    def several(self) -> bool:
        return False

    def files(self) -> Sequence[WebFile]:
        return [self._file]

    def shown(self, file: StoredFile) -> str:
        return file.shown

    def relative(self, file: StoredFile) -> str:
        return file.shown

    def trouble(self, file: StoredFile) -> AbstractContextManager[None]:
        return web_trouble(file.shown)


class WebStorage:
    """Reads files of web servers."""

    def inputs(self, location: str, context: ConnectorContext) -> WebInputs:
        return WebInputs(location)

    def result(self, location: str, context: ConnectorContext) -> NoReturn:
        raise ConfigurationError(
            f"load.destination: '{redacted(location)}': files of a web server can only be read. Name a path, a bucket "
            "or a database."
        )
