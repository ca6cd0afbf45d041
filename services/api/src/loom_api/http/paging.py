"""Writes where a page ends as a text, and reads it again."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Query

from loom_common.domain.json_values.shown import as_json
from loom_common.errors import ConfigurationError
from loom_coordinator.queries.batches import BatchKey
from loom_coordinator.queries.run_filter import RunKey

Item = TypeVar("Item")
MOST = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many.")]
After = Annotated[str | None, Query(max_length=4_000, description="What the page before gave as `next`.")]


def page(items: Sequence[Item], limit: int, key: Callable[[Item], Sequence[str | int]]) -> dict[str, Any]:
    """Return the document of a page. `items` hold one more than `limit` where there is another page, and `key` tells
    the place of an item."""
    shown, following = cut(items, limit, key)
    return {"items": as_json(list(shown)), "next": following}


def cut(
    items: Sequence[Item], limit: int, key: Callable[[Item], Sequence[str | int]]
) -> tuple[Sequence[Item], str | None]:
    """Return the items of a page, and how the next page is asked for; None where it is the last. `items` hold one more
    than `limit` where there is another page, and `key` tells the place of an item."""
    shown = items[:limit]
    return shown, _written(key(shown[-1])) if len(items) > limit else None


def run_key(after: str | None) -> RunKey | None:
    """Read the place of a run. Raises `ConfigurationError`."""
    if after is None:
        return None
    started_at, run_id = _read(after, str, str)
    try:
        return RunKey(in_utc(dt.datetime.fromisoformat(started_at)), run_id)
    except ValueError:
        raise _unreadable() from None


def in_utc(moment: dt.datetime) -> dt.datetime:
    """Return a time in UTC; one without a zone is in UTC. Raises `ConfigurationError` for one that has no place
    there."""
    try:
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except OverflowError:
        raise ConfigurationError(f"{moment.isoformat()} is no time in UTC.") from None


def batch_key(after: str | None) -> BatchKey | None:
    """Read the place of a batch. Raises `ConfigurationError`."""
    if after is None:
        return None
    partition, number, position = (_below(part, 1 << 31) for part in _read(after, int, int, int))
    return BatchKey(partition, number, position)


def number_key(after: str | None) -> int | None:
    """Read the place of a row that has a number. Raises `ConfigurationError`."""
    return None if after is None else _below(_read(after, int)[0], 1 << 63)


def text_key(after: str | None) -> str | None:
    """Read the place of what has a name. Raises `ConfigurationError`."""
    return None if after is None else _read(after, str)[0]


def label_key(after: str | None) -> tuple[str, str] | None:
    """Read the place of a label: its record and its person. Raises `ConfigurationError`."""
    if after is None:
        return None
    record_id, person = _read(after, str, str)
    return record_id, person


def _written(parts: Sequence[str | int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).decode().rstrip("=")


def _read(text: str, *kinds: type[str] | type[int]) -> Any:
    try:
        parts = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise _unreadable() from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise _unreadable()
    if any(isinstance(part, str) and "\0" in part for part in parts):
        raise _unreadable()
    return parts


def _below(number: int, end: int) -> int:
    """Return a number that the database can compare. Raises `ConfigurationError`."""
    if not 0 <= number < end:
        raise _unreadable()
    return number


def _unreadable() -> ConfigurationError:
    return ConfigurationError("`after` is not what a page gave as `next`. Leave it out to begin with the first page.")
