"""Finds a value in JSON by a path: `meta.next`, `$.data[-1].id`, `$['odd.name']` or `/meta/next` (RFC 6901)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"""\.?(?P<name>[^.\[\]'"$*]+)|\[(?P<at>-?\d+)\]|\[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]""")


class NoPath(ValueError):
    """Reports a text that is no path."""


class Missing:
    """Stands for a value that is not there. JSON's null is one that is."""


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Represents the steps from the root of a document to a value."""

    written: str
    steps: tuple[str | int, ...]

    @staticmethod
    def of(written: str) -> JsonPath:
        """Read a path as it is written in a pipeline: `data.items`, `data[-1].id` or `/data/items`. Raises `NoPath`."""
        if written.startswith("/"):
            parts = [part.replace("~1", "/").replace("~0", "~") for part in written[1:].split("/")]
            return JsonPath(written, tuple(_pointed(part) for part in parts))
        rest = written.removeprefix("$").removesuffix("[*]")
        steps: list[str | int] = []
        at = 0
        while at < len(rest):
            found = _STEP.match(rest, at)
            if found is None or (found["name"] and at and rest[at] != "."):
                raise NoPath("a path such as `data.items`, `data[-1].id` or `/data/items`")
            name = found["name"] or found["quoted"]
            steps.append(name if name is not None else int(found["at"]))
            at = found.end()
        return JsonPath(written, tuple(steps))

    def find(self, document: Any) -> Any:
        """Return the value; `MISSING` where there is none."""
        value = document
        for step in self.steps:
            value = _member(value, step)
        return value

    def put(self, document: Any, value: Any) -> None:
        """Set the value of a member, and make the objects on the way to it."""
        for step in self.steps[:-1]:
            document = document.setdefault(str(step), {})
        document[str(self.steps[-1])] = value


def _pointed(part: str) -> str | int:
    return int(part) if part.isascii() and part.isdigit() else part


def _member(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(str(step), MISSING)
    if isinstance(value, list) and (isinstance(step, int) or re.fullmatch(r"-?\d+", step)):
        at = int(step)
        return value[at] if -len(value) <= at < len(value) else MISSING
    return MISSING
