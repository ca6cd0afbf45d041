"""Decides what is asked for after a page. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from loom_common.text import readable
from loom_connectors.rest.http.json_path import MISSING, JsonPath
from loom_connectors.rest.http.options import (
    CursorPages,
    LinkPages,
    NumberedPages,
    OffsetPages,
    RestSourceOptions,
    SinglePage,
)
from loom_connectors.rest.reading.page_records import Document

T = TypeVar("T")
Token = str | int | float | None
"""Says which page is asked for; None: the first. Means something to its pagination only."""
_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^,;\s=]+\s*(?:=\s*(?:\"[^\"]*\"|[^\",;]*))?)*)")
_LONGEST_TOTAL = 18
"""The most digits of the number of records, or of pages, that an answer tells."""
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\",;\s]*))", re.IGNORECASE)


class BadPage(Exception):  # this is translated where it is caught
    """Reports an answer by which nobody can tell what follows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Says what the request for a page has."""

    link: str | None = None
    """The address of the page, where a server gave it."""
    query: Sequence[tuple[str, str]] = ()
    body: Sequence[tuple[str, Any]] = ()
    """Holds members of the JSON body, by their paths."""
    headers: Sequence[tuple[str, str]] = ()

    def also(self, name: str, value: str) -> Asked:
        """Return the same with another parameter. An address that a server gave has its parameters already."""
        return replace(self, query=[*self.query, (name, value)])


@dataclass(frozen=True, slots=True)
class Received:
    """Holds what an answer says about the page after it."""

    document: Document
    number: int
    """The number of records on the page."""
    seen: int
    """The number of records up to its end."""
    links: Sequence[str] = field(default=())
    """Holds the headers `Link`."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Paging(Protocol):
    """Represents the way in which an API divides its records into pages."""

    counts: bool
    """Tells whether the client counts the pages: then only the records tell that a server gives the same page
    again."""

    def asked(self, token: Token) -> Asked:
        """Return what the request for a page has."""
        ...

    def after(self, token: Token, received: Received) -> Token:
        """Return the token of the next page; None where no page follows. Raises `BadPage`."""
        ...


class _Single:
    counts = False

    def asked(self, token: Token) -> Asked:
        return Asked()

    def after(self, token: Token, received: Received) -> Token:
        return None


class _Links:
    counts = False

    def __init__(self, config: LinkPages) -> None:
        self._path = JsonPath.of(config.next_url_path) if config.next_url_path is not None else None

    def asked(self, token: Token) -> Asked:
        return Asked(link=None if token is None else str(token))

    def after(self, token: Token, received: Received) -> Token:
        if self._path is None:
            return next_link(received.links)
        found = received.document.find(self._path)
        if found is MISSING or found is None or found is False or found == "":
            return None
        if not isinstance(found, str):
            raise BadPage(f"what stands at `{self._path.written}` is no address")
        return _sendable(found, self._path)


class _Cursors:
    counts = False

    def __init__(self, config: CursorPages) -> None:
        self._config = config
        self._path = None if config.cursor_path is None else JsonPath.of(config.cursor_path)

    def asked(self, token: Token) -> Asked:
        if token is None:
            return Asked()
        if self._config.location == "header":
            return Asked(headers=[(self._config.cursor_param, str(token))])
        return _carried(self._config.location, (self._config.cursor_param, token))

    def after(self, token: Token, received: Received) -> Token:
        if _said_no(self._config.has_more_path, received):
            return None
        if self._path is None:
            return received.headers.get(self._config.cursor_header or "") or None
        found = received.document.find(self._path)
        if found is MISSING or found is None or found is False or found == "":
            return None
        if not isinstance(found, str | int | float):
            raise BadPage(f"what stands at `{self._path.written}` is neither a text nor a number")
        return _sendable(found, self._path)


class _Numbers:
    counts = True

    def __init__(self, config: NumberedPages) -> None:
        self._config = config

    def asked(self, token: Token) -> Asked:
        size = [] if self._config.size_param is None else [(self._config.size_param, self._config.size)]
        page = self._config.base_page if token is None else token
        return _carried(self._config.location, (self._config.page_param, page), *size)

    def after(self, token: Token, received: Received) -> Token:
        config = self._config
        page = config.base_page if token is None else int(token)
        pages, total = _total(config.total_pages_path, received), _total(config.total_path, received)
        if pages is not None and page - config.base_page + 1 >= pages:
            return None
        ended = total is not None and received.seen >= total
        return None if received.number == 0 or ended or _said_no(config.has_more_path, received) else page + 1


class _Offsets:
    counts = True

    def __init__(self, config: OffsetPages) -> None:
        self._config = config

    def asked(self, token: Token) -> Asked:
        config = self._config
        return _carried(config.location, (config.offset_param, token or 0), (config.limit_param, config.limit))

    def after(self, token: Token, received: Received) -> Token:
        """Go on behind the records that came: a server may give fewer than it was asked for."""
        total = _total(self._config.total_path, received)
        ended = total is not None and received.seen >= total
        if received.number == 0 or ended or _said_no(self._config.has_more_path, received):
            return None
        return received.seen


def paging(options: RestSourceOptions) -> Paging:
    """Return the way that the options name."""
    match options.pagination:
        case LinkPages() as config:
            return _Links(config)
        case CursorPages() as config:
            return _Cursors(config)
        case NumberedPages() as config:
            return _Numbers(config)
        case OffsetPages() as config:
            return _Offsets(config)
        case SinglePage():
            return _Single()


def next_link(headers: Sequence[str]) -> str | None:
    """Return the address with `rel="next"` in headers `Link` (RFC 8288); None where there is none."""
    for header in headers:
        for found in _LINK.finditer(header):
            relation = _REL.search(found[2])
            if relation is not None and "next" in (relation[1] or relation[2] or "").lower().split():
                return found[1]
    return None


def _carried(location: str, *pairs: tuple[str, str | int | float]) -> Asked:
    if location == "body":
        return Asked(body=pairs)
    return Asked(query=[(name, str(value)) for name, value in pairs])


def _sendable(found: T, path: JsonPath) -> T:
    """Return what tells the next page. Raises `BadPage` for a text that no request can carry."""
    if isinstance(found, str) and readable(found) != found:
        raise BadPage(f"what stands at `{path.written}` holds half a surrogate pair, which is no character")
    return found


def _total(path: str | None, received: Received) -> int | None:
    """Return a total that an answer tells; None where none is expected. Raises `BadPage`."""
    if path is None:
        return None
    found = received.document.find(JsonPath.of(path))
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= _LONGEST_TOTAL:
        return int(found)
    if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
        return found
    raise BadPage(f"no number stands at `{path}`")


def _said_no(path: str | None, received: Received) -> bool:
    """Tell whether an answer says that no page follows. Raises `BadPage`."""
    if path is None:
        return False
    found = received.document.find(JsonPath.of(path))
    if found is None or isinstance(found, bool):
        return not found
    raise BadPage(f"neither true nor false stands at `{path}`")
