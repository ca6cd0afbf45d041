"""Decides how records of one key stay in sequence: a slice is cut so that all of a key are in one batch, and the
records of a batch are processed in rounds, of which each has one record of a key at most. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

Key = tuple[str | None, ...]


class HasInput(Protocol):
    """Describes a record by what was read of it."""

    @property
    def input(self) -> Mapping[str, Any]: ...


def key_in(data: Mapping[str, Any], fields: Sequence[str]) -> Key:
    """Return the values of the fields as text, so that the number 7 and the text `7` are one key. A field that is
    missing counts as null."""
    return tuple(_text(data.get(name)) for name in fields)


@dataclass(frozen=True, slots=True)
class Lanes:
    """Says into how many batches the records of a slice are cut, by the values of which fields."""

    fields: Sequence[str]
    count: int

    @staticmethod
    def of(fields: Sequence[str], records: int, batch_size: int, least: int = 1) -> Lanes | None:
        """Return the lanes of so many records: as few as hold them, but not fewer than `least`. None where records are
        in no sequence."""
        return Lanes(fields, max(1, least, math.ceil(records / batch_size))) if fields else None

    def assigned(self, inputs: Iterable[Mapping[str, Any]]) -> list[int]:
        """Return the lane of each record. A key that is new gets the lane with the fewest records so far, so that the
        lane of a record depends on those before it alone."""
        known: dict[Key, int] = {}
        sizes = [0] * self.count
        lanes = []
        for data in inputs:
            key = key_in(data, self.fields)
            if (lane := known.get(key)) is None:
                lane = known[key] = sizes.index(min(sizes))
            sizes[lane] += 1
            lanes.append(lane)
        return lanes

    def fitting(self, inputs: Iterable[Mapping[str, Any]], batch_size: int) -> int:
        """Return how many of the records come before the first one whose lane is full. The slice ends there: a key with
        many records makes slices short, and no batch larger than `batch_size`."""
        sizes: Counter[int] = Counter()
        lanes = self.assigned(inputs)
        for at, lane in enumerate(lanes):
            if sizes[lane] == batch_size:
                return at
            sizes[lane] += 1
        return len(lanes)


def in_rounds(fields: Sequence[str]) -> Callable[[Sequence[HasInput]], list[list[int]]] | None:
    """Return what gives the rounds of records that are in sequence by these fields; None where there are none."""
    return partial(rounds, fields=fields) if fields else None


def rounds(records: Sequence[HasInput], fields: Sequence[str]) -> list[list[int]]:
    """Return the places of the records in each round, in their order: the first round has the first record of each key,
    the second one the second of each, and so on."""
    seen: Counter[Key] = Counter()
    found: list[list[int]] = []
    for at, record in enumerate(records):
        key = key_in(record.input, fields)
        if seen[key] == len(found):
            found.append([])
        found[seen[key]].append(at)
        seen[key] += 1
    return found


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
