"""Counts which answers agree. It does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson


def winner(outputs: Sequence[Mapping[str, Any]], by: str | None = None) -> tuple[int, int]:
    """Return the position of the most frequent output, and how many there are of it.

    Outputs agree whose values in the field `by` agree, or, without one, all of whose values do. Of those that agree,
    the first stands for all. Of several that are equally frequent, the one that was asked for first wins."""
    ballots = [normalised(output if by is None else output.get(by)) for output in outputs]
    counts = Counter(ballots)  # keeps the order in which it first saw them, and `max` takes the first of equals
    name = max(counts, key=lambda ballot: counts[ballot])
    return ballots.index(name), counts[name]


def normalised(value: Any) -> str:
    """Return a text that is equal for values that agree: whatever the order of their fields, the case and the white
    space of their texts, and whether a number is written `1` or `1.0`."""
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS, default=str).decode()


def _plain(value: Any) -> Any:
    match value:
        case str():
            return " ".join(value.split()).casefold()
        case float() if value.is_integer():
            return str(int(value))
        case int() if not isinstance(value, bool):
            return str(value)  # of any size
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value
