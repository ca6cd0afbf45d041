"""Reads pages as a browser does, as far as tests ask: their elements, their words, and what must not be in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

_EMPTY = frozenset({"meta", "link", "input", "br"})
"""Elements that have no end."""


@dataclass(frozen=True)
class Element:
    """Represents an element of a page."""

    tag: str
    attributes: dict[str, str]


@dataclass
class ReadPage(HTMLParser):
    """Holds what a page, or a part of one, is made of."""

    address: str
    elements: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in _EMPTY:
            return
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """Return the words of the page with single blanks between them."""
        return " ".join(" ".join(self.words).split())

    @property
    def links(self) -> list[str]:
        """Return the addresses within the console that it leads to, or fetches parts of itself from."""
        named = [each.attributes.get(name) for each in self.elements for name in ("href", "src", "hx-get")]
        whole = (urljoin(self.address, each) for each in named if each and not each.startswith("#"))
        return [each for each in whole if urlsplit(each).netloc == urlsplit(self.address).netloc]

    def faults(self) -> list[str]:
        """Return what no page of the console may have: markup that does not balance, scripts or styles within it, and
        two elements of one id."""
        found = [f"</{tag}> ends nothing" for tag in self.unbalanced + self._open]
        for each in self.elements:
            if each.tag in ("script", "style") and "src" not in each.attributes:
                found.append(f"<{each.tag}> within the page")
            found += [f"{name} at <{each.tag}>" for name in each.attributes if name.startswith("on") or name == "style"]
        ids = Counter(each.attributes["id"] for each in self.elements if "id" in each.attributes)
        return found + [f"two of id {name}" for name, number in ids.items() if number > 1]


def read(address: str, body: str) -> ReadPage:
    """Return the page with this address and body."""
    found = ReadPage(address)
    found.feed(body)
    found.close()
    return found
