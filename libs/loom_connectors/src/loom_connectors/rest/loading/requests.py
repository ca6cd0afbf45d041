"""Makes the requests that a batch is sent with: the rows of each, its key and its body."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from loom_common.domain.json_values.exact_json import dumps
from loom_connectors.ports.destination import Row
from loom_connectors.rest.http.options import RestDestinationOptions

_FIELD = re.compile(r"(?<!\$)\{(\w+)\}")


class NoAddress(Exception):  # this is translated where it is caught
    """Reports a row that cannot be named in an address."""


@dataclass(frozen=True, slots=True)
class RowsRequest:
    """Represents one request: the rows that it carries, by the ids of their records' threads."""

    threads: Mapping[str, Row] = field(repr=False)

    @property
    def rows(self) -> list[Row]:
        """Return the rows, in the order in which the body has them."""
        return list(self.threads.values())

    @property
    def key(self) -> str:
        """Return the same text whenever the same records are sent together, whoever sends them and how often."""
        ids = list(self.threads)
        return ids[0] if len(ids) == 1 else hashlib.sha256("/".join(ids).encode()).hexdigest()[:32]

    def body(self, options: RestDestinationOptions) -> bytes:
        """Return the rows as JSON: a list or one object, as the options say, within `wrap` where that is set."""
        rows = [row.values for row in self.rows]
        content: Any = rows if options.at_once is not None else rows[0]
        return dumps(content if options.wrap is None else {options.wrap: content})

    def singles(self) -> Iterator[RowsRequest]:
        """Yield requests with one row each."""
        for thread, row in self.threads.items():
            yield RowsRequest({thread: row})


def requests_of(threads: Mapping[str, Row], at_once: int | None) -> list[RowsRequest]:
    """Return the requests of a batch. The same batch has the same ones, in the same order."""
    pairs = list(threads.items())
    size = 1 if at_once is None else at_once or max(len(pairs), 1)
    return [RowsRequest(dict(pairs[at : at + size])) for at in range(0, len(pairs), size)]


def fields_of_path(url: str) -> list[str]:
    """Return the fields of a row that an address names: `id` of `/users/{id}`."""
    return _FIELD.findall(url)


def addressed(url: str, row: Row) -> str:
    """Return the address of a row's own resource. Raises `NoAddress` where a value cannot stand in one."""

    def value(match: re.Match[str]) -> str:
        found = row.values.get(match[1])
        text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        if text in ("", ".", ".."):
            raise NoAddress(f"the field '{match[1]}' holds no value that can stand in an address.")
        return quote(text, safe="")

    return _FIELD.sub(value, url)
