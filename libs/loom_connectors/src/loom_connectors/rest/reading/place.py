"""Defines the cursor of a REST source: which page is asked for next, and how many records of it were read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from loom_common.domain.json_values.exact_json import dumps
from loom_connectors.rest.reading.pagination import Token


class Circle(Exception):  # this is translated where it is caught
    """Reports that the pages of a source lead back to a page that was read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Represents a place in a source. It holds no secret, and is as small after a million pages as after one."""

    token: Token = None
    page: int = 1
    skipped: int = 0
    """The number of records of the page that were read."""
    body: str = ""
    """Holds a hash of the answer that they were read from, where some were. The rest is read from the same answer
    while it is kept."""
    seen: int = 0
    """The number of records of the pages before it."""
    mark: str = ""
    """Holds a hash of the token of the last page whose number is a power of two."""
    last: str = ""
    """Holds a hash of the records of the page before it."""

    @staticmethod
    def of(cursor: Any) -> Place:
        """Return the place that a cursor means; None means the start."""
        if cursor is None:
            return Place(mark=hash_of(None))
        return Place(
            cursor["at"],
            cursor["page"],
            cursor["skip"],
            cursor["body"],
            cursor["seen"],
            cursor["mark"],
            cursor["last"],
        )

    @property
    def cursor(self) -> dict[str, Any]:
        """Return the place as JSON."""
        names = {"at": self.token, "page": self.page, "skip": self.skipped, "body": self.body, "seen": self.seen}
        return {**names, "mark": self.mark, "last": self.last}

    def within(self, skipped: int, body: str) -> Place:
        """Return a place on the same page, of an answer with the hash `body`."""
        return replace(self, skipped=skipped, body=body)

    def next(self, token: Token, number: int, digest: str) -> Place:
        """Return the start of the page after this one, which has `number` records with a hash `digest`.

        Raises `Circle` where the token is that of this page, or of the last page whose number is a power of two: pages
        that lead back to an earlier one meet it sooner or later (Brent's algorithm)."""
        hashed, page = hash_of(token), self.page + 1
        if token == self.token or hashed == self.mark:
            raise Circle
        mark = hashed if page & (page - 1) == 0 else self.mark
        return Place(token, page, 0, "", self.seen + number, mark, digest)


def hash_of(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.sha256(dumps(value)).hexdigest()[:16]
